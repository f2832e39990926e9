import type { VNode } from 'preact';
import type { z } from 'zod';
import { outcomePhrase, percent, SCENARIO_TITLES, sharesOf } from '../charts/text.ts';
import { lastDayOf } from '../domain/horizon.ts';
import type { Desk } from '../domain/desks.ts';
import { OUTLOOK_STATUSES } from '../domain/outlook.ts';
import { SCENARIO_NAMES } from '../domain/probabilities.ts';
import type { outlookSummary } from '../api/schemas/outlooks.ts';
import { Badge, Day, Live, Moment, Text } from './parts.tsx';

type Summary = z.output<typeof outlookSummary>;

export type ListPageData = {
  items: readonly Summary[];
  /** The path of the next page, from the root; null on the last. */
  next: string | null;
  /** The filters of the request. */
  asked: {
    q?: string | undefined;
    status?: string | undefined;
    reviewDue?: boolean | undefined;
    desk?: string | undefined;
  };
  /** The desk whose outlooks it lists; null for those of all desks. */
  desk: Desk | null;
};

/** The outlooks of a ledger. */
export function ListPage({ data: { items, next, asked, desk } }: { data: ListPageData }): VNode {
  const isFiltered = Object.values(asked).some((value) => value !== undefined);
  return (
    <>
      <h1 dir="auto">{desk === null ? 'Market outlooks' : desk.name}</h1>
      <form class="search" action="/" method="get">
        {desk !== null && <input type="hidden" name="desk" value={desk.slug} />}
        <label>
          Words
          <input type="search" name="q" maxlength={200} value={asked.q} />
        </label>
        <label>
          Status
          <select name="status">
            <option value="">any</option>
            {OUTLOOK_STATUSES.map((status) => (
              <option value={status} selected={asked.status === status}>
                {status}
              </option>
            ))}
          </select>
        </label>
        <label>
          Review
          <select name="reviewDue">
            <option value="">any</option>
            <option value="true" selected={asked.reviewDue === true}>
              due
            </option>
            <option value="false" selected={asked.reviewDue === false}>
              not due
            </option>
          </select>
        </label>
        <button type="submit">Find</button>
      </form>
      <Live events="/v1/events" news="The list was updated.">
        {items.length === 0 && (
          <p class="empty">
            {isFiltered
              ? 'No outlooks match.'
              : 'There are no outlooks yet. Create the first one with POST /v1/outlooks.'}
          </p>
        )}
        <ul class="outlooks">
          {items.map((item) => (
            <Entry item={item} />
          ))}
        </ul>
        {next !== null && (
          <p>
            <a href={next} rel="next">
              More outlooks
            </a>
          </p>
        )}
      </Live>
    </>
  );
}

function Entry({ item }: { item: Summary }): VNode {
  const { slug, title, instrument, horizon, status, review, version, publishedAt, author } = item;
  const { resolution, visibility } = item;
  return (
    <li id={`outlook-${slug}`}>
      <article>
        <p class="overline">
          {instrument.symbol} · <Day day={horizon.from} /> to <Day day={lastDayOf(horizon)} />{' '}
          {status !== 'open' && <Badge kind={status}>{status}</Badge>}
          {visibility === 'internal' && <Badge kind="internal">internal</Badge>}
          {review.due && <Badge kind="triggered">review due</Badge>}
        </p>
        <h2>
          <a href={`/outlooks/${slug}`}>
            <Text>{title}</Text>
          </a>
        </h2>
        {resolution && (
          <p>
            <strong>{outcomePhrase(resolution)}</strong>, <Moment at={resolution.resolvedAt} />
          </p>
        )}
        <Bar item={item} />
        <p>
          {SCENARIO_NAMES.map((name) => (
            <span class="share">
              <span class={`dot ${name}`} aria-hidden="true" />
              {SCENARIO_TITLES[name]} {percent(item.probabilities[name])}
            </span>
          ))}
        </p>
        <p>
          <small>
            Version {version}, <Moment at={publishedAt} />, <Text>{author.name}</Text>
          </small>
        </p>
      </article>
    </li>
  );
}

/** The probabilities as one bar. */
function Bar({ item }: { item: Summary }): VNode {
  let start = 0;
  return (
    <svg
      class="bar"
      viewBox="0 0 10000 100"
      preserveAspectRatio="none"
      role="img"
      aria-label={sharesOf(item.probabilities)}
    >
      {SCENARIO_NAMES.map((name) => {
        const width = Math.round(item.probabilities[name] * 10_000);
        const part = <rect class={name} x={start} width={width} height={100} />;
        start += width;
        return part;
      })}
    </svg>
  );
}
