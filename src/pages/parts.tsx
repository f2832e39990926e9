import type { ComponentChildren, VNode } from 'preact';
import { moment, paragraphsOf, shortDay } from '../charts/text.ts';
import { EVENT_KINDS } from '../domain/events.ts';

/** A sentence or title by an analyst. Its writing direction does not affect the text around it. */
export function Text({ children }: { children: string }): VNode {
  return <bdi>{children}</bdi>;
}

/** Text by an analyst, as paragraphs that blank lines separate. */
export function Prose({ text }: { text: string }): VNode {
  return (
    <>
      {paragraphsOf(text).map((paragraph) => (
        <p dir="auto">{paragraph}</p>
      ))}
    </>
  );
}

/** A time in UTC, to the minute. */
export function Moment({ at }: { at: string }): VNode {
  return <time dateTime={at}>{moment(new Date(at))}</time>;
}

export function Day({ day }: { day: string }): VNode {
  return <time dateTime={day}>{shortDay(new Date(`${day}T00:00:00Z`))}</time>;
}

/** A section of the page with its heading. */
export function Section(props: { id: string; title: string; children: ComponentChildren }): VNode {
  const { id, title, children } = props;
  return (
    <section id={id} aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`} tabindex={-1}>
        {title}
      </h2>
      {children}
    </section>
  );
}

/**
 * A table. On a narrow screen its rows are stacked, with each cell under its column's name. The explicit roles
 * restore the semantics that CSS removes.
 * @param rows cells in the order of the columns; the first cell is the row header
 */
export function Table(props: {
  caption: string;
  columns: readonly string[];
  rows: readonly (readonly ComponentChildren[])[];
}): VNode {
  const { caption, columns, rows } = props;
  return (
    <table role="table">
      <caption>{caption}</caption>
      <thead role="rowgroup">
        <tr role="row">
          {columns.map((column) => (
            <th scope="col" role="columnheader">
              {column}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map(([head, ...cells]) => (
          <tr role="row">
            <th scope="row" role="rowheader">
              {head}
            </th>
            {cells.map((cell, index) => (
              <td role="cell" data-column={columns[index + 1]}>
                <div>{cell}</div>
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A link to another site, which gets no referrer. */
export function Outside({ url, children }: { url: string; children: string }): VNode {
  return (
    <a href={url} rel="nofollow noopener noreferrer">
      <Text>{children}</Text>
    </a>
  );
}

/** A word for the state of something. */
export function Badge({ kind, children }: { kind: string; children: ComponentChildren }): VNode {
  return <span class={`badge badge-${kind}`}>{children}</span>;
}

/** The width of a chart on a phone, in pixels, at which its text stays readable. */
const NARROW = 400;

/** A chart of an outlook. The text beside it says the same in words. */
export function Chart(props: {
  slug: string;
  query: Record<string, string | number>;
  size: readonly [width: number, height: number];
  alt: string;
}): VNode {
  const { slug, query, size, alt } = props;
  const [width, height] = size;
  const addressOf = (inPixels: number): string => {
    const asked = { ...query, width: inPixels, height };
    const search = Object.entries(asked).map(([name, value]) => [name, String(value)]);
    return `/v1/outlooks/${slug}/chart.svg?${new URLSearchParams(search)}`;
  };
  return (
    <picture class="chart">
      <source
        media="(max-width: 40rem)"
        srcset={addressOf(NARROW)}
        width={NARROW}
        height={height}
      />
      <img src={addressOf(width)} width={width} height={height} alt={alt} />
    </picture>
  );
}

/**
 * The part of a page that stays up to date while it is open.
 * @param events the event stream of its changes; null if it can't change
 * @param news what screen readers announce once this is shown
 */
export function Live(props: {
  events: string | null;
  news: string;
  children: ComponentChildren;
}): VNode {
  const { events, news, children } = props;
  const followed = events !== null && {
    'data-events': events,
    'data-kinds': EVENT_KINDS.join(' '),
    'data-news': news,
  };
  return (
    <>
      <p id="news" role="status" />
      <div id="live" {...followed}>
        {children}
      </div>
    </>
  );
}
