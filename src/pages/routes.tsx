import type { VersionReader } from '../ledger/versions.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import { z } from 'zod';
import { isOver } from '../domain/horizon.ts';
import { problemFor } from '../http/errors.ts';
import { ANY_SERIES, CLOSES_MAX_AGE, WHOLE_LEDGER } from '../http/response-cache/cache-entry.ts';
import { requirePast } from '../http/require-past.ts';
import { ATOM_TYPE, CONTENT_TYPES, HTML_TYPE, JSON_FEED_TYPE } from '../http/negotiation.ts';
import { outlookPageReader } from '../api/outlook-list.ts';
import { nextUrl } from '../http/paging.ts';
import { PROBLEMS } from '../http/problem-catalogue.ts';
import type { ResponseDraft } from '../http/response-cache/encoded-body.ts';
import type { Api } from '../http/routing.ts';
import { slug } from '../http/fields.ts';
import { assetRoutes } from './assets.ts';
import { PAGE_POLICY, renderPageOf } from './layout.tsx';
import { ListPage } from './list-page.tsx';
import { headOf, OutlookPage } from './outlook-page.tsx';
import { ProblemPage } from './problem-page.tsx';
import { listPageQuery, momentOf, outlookPageQuery } from './queries.ts';
import { readOutlookPage } from './read.ts';

export type PageDeps = {
  pool: pg.Pool;
  cache: ResponseCache;
  versions: VersionReader;
  now: () => Date;
  publicUrl: string;
};

/** The path of the assets and the public URL. */
type Place = { assets: string; publicUrl: string };

/** The pages and their assets. */
export function pageRoutes(api: Api, ledger: PageDeps): void {
  const { publicUrl } = ledger;
  const place = { assets: assetRoutes(api, ledger), publicUrl };
  answerProblemsAsPages(api, place);
  listRoute(api, ledger, place);
  outlookRoute(api, ledger, place);
}

const FEEDS = [
  { type: ATOM_TYPE, title: 'New versions', path: '/v1/feed.atom' },
  { type: JSON_FEED_TYPE, title: 'New versions', path: '/v1/feed.json' },
];

const pageOf = (body: string): ResponseDraft => ({
  body,
  type: HTML_TYPE,
  freshness: 'revalidate',
  headers: { 'content-security-policy': PAGE_POLICY },
});

function listRoute(api: Api, ledger: PageDeps, place: Place): void {
  api.route({
    method: 'GET',
    url: '/',
    config: { access: 'read', serves: [HTML_TYPE] },
    schema: { hide: true, querystring: listPageQuery },
    handler: (request, reply) => {
      const read = outlookPageReader(ledger, request.query);
      return ledger.cache.answer(request, reply, { tags: WHOLE_LEDGER }, async () => {
        const { items, nextCursor } = await read();
        const { q, status, reviewDue } = request.query;
        const data = {
          items,
          next: nextCursor && nextUrl(request, nextCursor),
          asked: { q, status, reviewDue },
        };
        const head = {
          title: 'Market outlooks',
          description:
            'Bear, base and bull scenarios with probabilities that sum to exactly 1, as a ledger of versions.',
          path: '/',
          alternates: FEEDS,
        };
        return pageOf(renderPageOf(head, place, <ListPage data={data} />));
      });
    },
  });
}

function outlookRoute(api: Api, ledger: PageDeps, place: Place): void {
  api.route({
    method: 'GET',
    url: '/outlooks/:slug',
    config: { access: 'read', serves: [HTML_TYPE] },
    schema: { hide: true, params: z.strictObject({ slug }), querystring: outlookPageQuery },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      const now = ledger.now();
      const asOf = momentOf(request.query.asOf, now);
      requirePast('asOf', asOf, now);
      const tags = [name, ANY_SERIES];
      return ledger.cache.answer(request, reply, { tags }, async () => {
        const page = await readOutlookPage(ledger, name, { ...request.query, asOf });
        const data = {
          ...page,
          day: asOf ? asOf.toISOString().slice(0, 10) : null,
          isOver: isOver(page.outlook.horizon, now),
        };
        const body = renderPageOf(headOf(data), place, <OutlookPage data={data} />);
        return { ...pageOf(body), maxAge: CLOSES_MAX_AGE };
      });
    },
  });
}

/** Shows errors to readers of pages as a page. */
function answerProblemsAsPages(api: Api, place: Place): void {
  api.setErrorHandler((error, request, reply) => {
    const problem = problemFor(error, request);
    const { status, title } = PROBLEMS[problem.code];
    request.problem = problem.code;
    const head = { title, description: problem.message, path: '/' };
    const page = renderPageOf(head, place, <ProblemPage problem={problem} />);
    return reply
      .code(status)
      .headers({
        'cache-control': 'no-store',
        'content-security-policy': PAGE_POLICY,
        ...problem.headers,
      })
      .type(CONTENT_TYPES[HTML_TYPE])
      .send(page);
  });
}
