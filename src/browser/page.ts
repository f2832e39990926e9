import { followEvents } from './live.ts';
import { letRevise } from './revise.ts';

const tell = (news: string): void => {
  const place = document.querySelector('#news');
  if (place) place.textContent = news;
};

const panel = document.querySelector<HTMLElement>('#revise-panel');
const onPublished = panel ? letRevise(panel, tell) : () => {};
const live = document.querySelector<HTMLElement>('#live');
if (live) {
  followEvents(live, (next) => {
    onPublished(next);
    tell(
      next.querySelector('#live')?.getAttribute('data-news') ?? 'The page was brought up to date.',
    );
  });
}
