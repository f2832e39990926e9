import { showInbox } from './inbox.ts';
import { followEvents } from './live.ts';
import { letRevise } from './revise.ts';

const announce = (news: string): void => {
  const place = document.querySelector('#news');
  if (place) place.textContent = news;
};

const panel = document.querySelector<HTMLElement>('#revise-panel');
const onShown = panel ? letRevise(panel, announce) : () => {};
const live = document.querySelector<HTMLElement>('#live');
if (live) {
  let shown = live.dataset['news'];
  followEvents(live, (next, { dataset: { news } }) => {
    announce(news && news !== shown ? news : 'The page was updated.');
    shown = news;
    onShown(next);
  });
}

const inbox = document.querySelector<HTMLElement>('#inbox');
if (inbox) showInbox(inbox, announce);
