import { readLedgerHash } from '../ledger/ledger-hash.ts';
import type { VersionReader } from '../ledger/versions.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import type { FastifyReply, FastifyRequest } from 'fastify';
import XMLBuilder from 'fast-xml-builder';
import { z } from 'zod';
import {
  outcomePhrase,
  percent,
  points,
  withoutControls,
  SCENARIO_TITLES,
} from '../charts/text.ts';
import type { Audience } from '../domain/desks.ts';
import { listOutlooks } from '../ledger/outlook-list.ts';
import { type AnnouncedResolution, newestResolutions } from '../ledger/resolutions.ts';
import type { VersionEntry } from '../ledger/version-entries.ts';
import { listVersions } from '../ledger/version-list.ts';
import { deltasOf, fractionsOf, SCENARIO_NAMES } from '../domain/probabilities.ts';
import { type CacheTags, WHOLE_LEDGER } from '../http/response-cache/cache-entry.ts';
import { ATOM_TYPE, JSON_FEED_TYPE, JSON_TYPE, wantedType, XML_TYPE } from '../http/negotiation.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { type FeedIds, feedIds } from './feed-ids.ts';
import { jsonFeed } from './schemas/feeds.ts';
import { slug } from '../http/fields.ts';

export type FeedDeps = {
  pool: pg.Pool;
  cache: ResponseCache;
  versions: VersionReader;
  now: () => Date;
  publicUrl: string;
};

/** How many entries a feed has; the newest. */
const ITEMS = 20;

/** A version, or a resolution. */
type Entry = {
  /** What it is in the API: its path, without the start that all share. */
  id: string;
  title: string;
  text: string;
  publishedAt: Date;
  author: string;
  /** The paths of the page that shows it, and of its picture. */
  page: string;
  image: string;
};

type Feed = {
  title: string;
  /** The paths of the page for people, and of the feed itself. */
  page: string;
  path: string;
  entries: readonly Entry[];
};

/** The formats of a feed: the end of its path, its media type, and how it is written. */
const FORMATS = {
  atom: { types: [ATOM_TYPE, XML_TYPE], write: atomOf, name: 'Atom (RFC 4287)' },
  json: { types: [JSON_FEED_TYPE, JSON_TYPE], write: jsonFeedOf, name: 'JSON Feed 1.1' },
} as const;
type FeedFormat = keyof typeof FORMATS;

export function feedRoutes(api: Api, ledger: FeedDeps): void {
  for (const format of ['atom', 'json'] as const) {
    allRoute(api, ledger, format);
    oneRoute(api, ledger, format);
  }
}

function allRoute(api: Api, ledger: FeedDeps, format: FeedFormat): void {
  const path = `/v1/feed.${format}`;
  api.route({
    method: 'GET',
    url: path,
    config: { access: 'read', serves: FORMATS[format].types },
    schema: {
      operationId: format === 'atom' ? 'getAtomFeed' : 'getJsonFeed',
      tags: ['Feeds'],
      summary: `Follow all outlooks in a feed reader: ${FORMATS[format].name}`,
      description:
        'The current version of each outlook, and each resolution, correction and reopening, newest first, at most 20. Its URLs are absolute and start with the setting `PUBLIC_URL`.',
      response: { ...responseOf(format), ...problemResponses(422) },
    },
    handler: (request, reply) =>
      sendFeed(ledger, format, { request, reply, tags: WHOLE_LEDGER }, async () => {
        const entries = await newestEntries(ledger, request.audience);
        return { title: 'Outlook Ledger', page: '/', path, entries };
      }),
  });
}

function oneRoute(api: Api, ledger: FeedDeps, format: FeedFormat): void {
  api.route({
    method: 'GET',
    url: `/v1/outlooks/:slug/feed.${format}`,
    config: { access: 'read', serves: FORMATS[format].types },
    schema: {
      operationId: format === 'atom' ? 'getOutlookAtomFeed' : 'getOutlookJsonFeed',
      tags: ['Feeds'],
      summary: `Follow an outlook in a feed reader: ${FORMATS[format].name}`,
      description:
        'The versions of the outlook, each with its change and rationale, and its resolutions, corrections and reopenings, newest first, at most 20. Its URLs are absolute and start with the setting `PUBLIC_URL`.',
      params: z.strictObject({ slug }),
      response: { ...responseOf(format), ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      return sendFeed(ledger, format, { request, reply, tags: [name] }, async () => {
        const { framework } = await ledger.versions.read(name, 'newest');
        const { title } = framework.read();
        const found = await listVersions(ledger.pool, name, { before: null, limit: ITEMS });
        const resolutions = await newestResolutions(ledger.pool, { slug: name }, ITEMS);
        return {
          title,
          page: `/outlooks/${name}`,
          path: `/v1/outlooks/${name}/feed.${format}`,
          entries: newestOf([
            ...resolutions.map(resolutionEntry),
            ...found.map((version) => versionEntry({ ...version, slug: name, title })),
          ]),
        };
      });
    },
  });
}

function responseOf(format: FeedFormat) {
  const { types, name } = FORMATS[format];
  const text = z.string().meta({ description: `${name}, as XML.` });
  const schema = format === 'json' ? jsonFeed : text;
  return { 200: { content: Object.fromEntries(types.map((type) => [type, { schema }])) } };
}

function sendFeed(
  { cache, pool, publicUrl }: FeedDeps,
  format: FeedFormat,
  { request, reply, tags }: { request: FastifyRequest; reply: FastifyReply; tags: CacheTags },
  read: () => Promise<Feed>,
): Promise<void> {
  return cache.answer(request, reply, { tags }, async () => {
    const ids = feedIds(await readLedgerHash(pool));
    const body = FORMATS[format].write(await read(), publicUrl, ids);
    const type = wantedType(request, undefined);
    return { body, type, freshness: 'revalidate', hasAlternatives: true };
  });
}

async function newestEntries(
  { pool, now, versions }: FeedDeps,
  audience: Audience,
): Promise<Entry[]> {
  const query = {
    instrument: null,
    status: null,
    reviewDue: null,
    awaitingResolution: null,
    contradicted: null,
    probability: null,
    updatedSince: null,
    search: null,
    sort: '-publishedAt' as const,
    asOf: null,
  };
  const { summaries } = await listOutlooks(pool, query, {
    after: null,
    limit: ITEMS,
    now: now(),
    audience,
  });
  const entries = (await newestResolutions(pool, { audience }, ITEMS)).map(resolutionEntry);
  const slugs = summaries.map(({ slug: name }) => name);
  for await (const newest of versions.newest(slugs, audience)) {
    const { framework, ...version } = newest;
    entries.push(versionEntry({ ...version, title: framework.read().title }));
  }
  return newestOf(entries);
}

/** The newest entries; of two at the same time, the one that was first. */
function newestOf(entries: readonly Entry[]): Entry[] {
  const newestFirst = (a: Entry, b: Entry) => b.publishedAt.getTime() - a.publishedAt.getTime();
  return entries.toSorted(newestFirst).slice(0, ITEMS);
}

type FeedVersion = VersionEntry & { slug: string; title: string };

function versionEntry(entry: FeedVersion): Entry {
  const { slug: name, version, title, rationale, publishedAt, author } = entry;
  return {
    id: `/v1/outlooks/${name}/versions/${version}`,
    title: `${title}. ${summaryLine(entry)}`,
    text: rationale,
    publishedAt,
    author: author.name,
    page: `/outlooks/${name}?version=${version}`,
    image: `/v1/outlooks/${name}/chart.svg?version=${version}&format=png`,
  };
}

function resolutionEntry(entry: AnnouncedResolution): Entry {
  const { slug: name, number, title, reason, resolvedAt, resolvedBy } = entry;
  const line = outcomeLine(entry);
  return {
    id: `/v1/outlooks/${name}/resolution#${number}`,
    title: `${title}. ${line}`,
    text: reason ?? `${line}.`,
    publishedAt: resolvedAt,
    author: resolvedBy.name,
    page: `/outlooks/${name}`,
    image: `/v1/outlooks/${name}/chart.svg?asOf=${resolvedAt.toISOString()}&format=png`,
  };
}

/** A resolution in one line: `Resolved: Bear came about, with a return of −12%`. */
function outcomeLine({ outcome, realisedReturn, corrects }: AnnouncedResolution): string {
  if (outcome === 'reopened') return 'Reopened: the resolution was taken back';
  const done = corrects ? 'Resolution corrected' : 'Resolved';
  return `${done}: ${outcomePhrase({ outcome, realisedReturn })}`;
}

/** A version in one line: `Version 2: Bear 35% (+5), Base 40% (−5), Bull 25%`. */
function summaryLine({
  version,
  probabilities,
  previousProbabilities: before,
}: FeedVersion): string {
  const fractions = fractionsOf(probabilities);
  const deltas = before && deltasOf(before, probabilities);
  const shares = SCENARIO_NAMES.map((name) => {
    const moved = deltas && deltas[name] !== 0 ? ` (${points(deltas[name])})` : '';
    return `${SCENARIO_TITLES[name]} ${percent(fractions[name])}${moved}`;
  });
  return `Version ${version}: ${shares.join(', ')}`;
}

/** For a feed without entries: a feed must say when it last changed (RFC 4287, 4.1.1). */
const NEVER = new Date(0);

const xml = new XMLBuilder({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  textNodeName: '#',
  suppressEmptyNode: true,
});

function atomOf({ title, page, path, entries }: Feed, publicUrl: string, ids: FeedIds): string {
  const feed = {
    '@xmlns': 'http://www.w3.org/2005/Atom',
    id: ids(path),
    title: textOf(title),
    updated: (entries[0]?.publishedAt ?? NEVER).toISOString(),
    link: [
      { '@rel': 'self', '@type': ATOM_TYPE, '@href': publicUrl + path },
      { '@rel': 'alternate', '@type': 'text/html', '@href': publicUrl + page },
    ],
    entry: entries.map((entry) => ({
      id: ids(entry.id),
      title: textOf(entry.title),
      updated: entry.publishedAt.toISOString(),
      published: entry.publishedAt.toISOString(),
      author: { name: withoutControls(entry.author) },
      link: { '@rel': 'alternate', '@type': 'text/html', '@href': publicUrl + entry.page },
      content: textOf(entry.text),
    })),
  };
  return xml.build({ '?xml': { '@version': '1.0', '@encoding': 'UTF-8' }, feed });
}

/** Plain text, without markup. */
const textOf = (value: string) => ({ '@type': 'text', '#': withoutControls(value) });

function jsonFeedOf({ title, page, path, entries }: Feed, publicUrl: string, ids: FeedIds): string {
  const feed: z.output<typeof jsonFeed> = {
    version: 'https://jsonfeed.org/version/1.1',
    title,
    home_page_url: publicUrl + page,
    feed_url: publicUrl + path,
    language: 'en',
    items: entries.map((entry) => ({
      id: ids(entry.id),
      url: publicUrl + entry.page,
      title: entry.title,
      content_text: entry.text,
      image: publicUrl + entry.image,
      date_published: entry.publishedAt.toISOString(),
      authors: [{ name: entry.author }],
    })),
  };
  return JSON.stringify(feed);
}
