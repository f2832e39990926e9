import type { FastifyReply, FastifyRequest } from 'fastify';
import { findDesk, readDesk } from '../access/desks.ts';
import type { listQuery } from '../api/schemas/outlook-list.ts';
import type { Desk } from '../domain/desks.ts';
import type { VersionReader } from '../ledger/versions.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import { z } from 'zod';
import { isOver } from '../domain/horizon.ts';
import { forbidStoring } from '../http/conditional-requests.ts';
import { answerError, problemFor } from '../http/errors.ts';
import { ANY_SERIES, CLOSES_MAX_AGE, WHOLE_LEDGER } from '../http/response-cache/cache-entry.ts';
import { requirePast } from '../http/require-past.ts';
import {
  ATOM_TYPE,
  CONTENT_TYPES,
  HTML_TYPE,
  JSON_FEED_TYPE,
  JSON_TYPE,
  preferredType,
} from '../http/negotiation.ts';
import { outlookListReads } from '../api/outlook-list.ts';
import { nextUrl } from '../http/list-responses.ts';
import { PROBLEMS } from '../http/problem-catalogue.ts';
import type { ResponseDraft } from '../http/response-cache/encoded-body.ts';
import { type Api, noRoute } from '../http/routing.ts';
import { slug } from '../http/fields.ts';
import { assetRoutes } from './assets.ts';
import { inboxPageRoute } from './inbox-page.tsx';
import { PAGE_POLICY, renderPageOf } from './layout.tsx';
import { ListPage } from './list-page.tsx';
import { headOf, OutlookPage } from './outlook-page.tsx';
import { ProblemPage } from './problem-page.tsx';
import { listPageQuery, momentOf, outlookPageQuery } from './queries.ts';
import { readOutlookPage } from './read.ts';
import { verifyPageRoute } from './verify-page.tsx';

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
  deskRoute(api, ledger, place);
  outlookRoute(api, ledger, place);
  inboxPageRoute(api, ledger, place);
  verifyPageRoute(api, ledger);
  redirectRoutes(api);
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
    handler: (request, reply) =>
      answerListPage(request, reply, ledger, place, request.query, async () => {
        const { desk } = request.query;
        return desk === undefined ? null : findDesk(ledger.pool, desk);
      }),
  });
}

function deskRoute(api: Api, ledger: PageDeps, place: Place): void {
  api.route({
    method: 'GET',
    url: '/desks/:desk',
    config: { access: 'read', serves: [HTML_TYPE] },
    schema: { hide: true, params: z.strictObject({ desk: slug }), querystring: listPageQuery },
    handler: (request, reply) => {
      const { desk } = request.params;
      const query = { ...request.query, desk };
      return answerListPage(request, reply, ledger, place, query, () =>
        readDesk(ledger.pool, desk),
      );
    },
  });
}

/** @param findOnly finds the desk whose outlooks the page lists; null for those of all desks */
function answerListPage(
  request: FastifyRequest,
  reply: FastifyReply,
  ledger: PageDeps,
  place: Place,
  query: z.output<typeof listQuery>,
  findOnly: () => Promise<Desk | null>,
) {
  const reads = outlookListReads(ledger, query, request.audience);
  return ledger.cache.answer(request, reply, { tags: WHOLE_LEDGER }, async () => {
    const desk = await findOnly();
    const { items, nextCursor } = await reads.page();
    const { q, status, reviewDue, desk: only } = query;
    const next = nextCursor && nextUrl(request, nextCursor);
    const data = { items, next, asked: { q, status, reviewDue, desk: only }, desk };
    const head = {
      title: desk === null ? 'Market outlooks' : `${desk.name}: market outlooks`,
      description:
        'Bear, base and bull scenarios with probabilities that sum to exactly 1, as a ledger of versions.',
      path: desk === null ? '/' : `/desks/${desk.slug}`,
      alternates: FEEDS,
    };
    return pageOf(renderPageOf(head, place, <ListPage data={data} />));
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
        const { audience, query } = request;
        const page = await readOutlookPage(ledger, name, { ...query, asOf }, audience);
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

/**
 * Sends readers of pages who leave a slug out, or end a path with a slash, to the page that they mean. The location is made
 * from the route, so that no path of a client can lead to another host.
 */
function redirectRoutes(api: Api): void {
  const redirect = (url: string, params: z.ZodObject, pathFor: (slug: string) => string) =>
    api.route({
      method: 'GET',
      url,
      config: { access: 'public', serves: PAGE_OR_PROBLEM },
      schema: { hide: true, params, querystring: z.looseObject({}) },
      handler: async (request, reply) => {
        if (preferredType(request, PAGE_OR_PROBLEM) !== HTML_TYPE) throw noRoute(request);
        const [, query] = request.url.split(/(?=\?)/, 2);
        const { slug: name = '' } = request.params as { slug?: string };
        forbidStoring(reply); // scripts get another response
        return reply.redirect(pathFor(name) + (query ?? ''), 308);
      },
    });
  for (const url of ['/outlooks', '/outlooks/']) redirect(url, z.strictObject({}), () => '/');
  redirect('/outlooks/:slug/', z.strictObject({ slug }), (name) => `/outlooks/${name}`);
}

/** What an unknown path has: a page for readers, a problem for scripts. */
const PAGE_OR_PROBLEM = [JSON_TYPE, HTML_TYPE];

/** Shows errors as a page to whoever asks for pages. */
function answerProblemsAsPages(api: Api, place: Place): void {
  // Here, so that paths without a route have this error handler.
  api.setNotFoundHandler((request) => {
    throw noRoute(request);
  });
  api.setErrorHandler((error, request, reply) => {
    const { serves = PAGE_OR_PROBLEM } = request.routeOptions.config;
    if (preferredType(request, serves) !== HTML_TYPE) return answerError(error, request, reply);
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
