import type { FastifyReply, FastifyRequest } from 'fastify';
import type pg from 'pg';
import { z } from 'zod';
import { callerOf } from '../access/authentication.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import type { Actor } from '../domain/desks.ts';
import { digestOf, forbidStoring } from '../http/conditional-requests.ts';
import { disclosure } from '../http/disclosure-schema.ts';
import { slug } from '../http/fields.ts';
import { Problem } from '../http/problems.ts';
import { ANY_SERIES } from '../http/response-cache/cache-entry.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import {
  discloseOutlook,
  discloseSeries,
  type Opened,
  readOutlookDisclosure,
  readSeriesDisclosure,
} from '../ledger/disclosure.ts';
import type { AnnounceDeps } from './announce-observations.ts';
import { disclosed, disclosureInput } from './schemas/disclosure.ts';

export type DisclosureDeps = WriteDeps & AnnounceDeps;

const security = [{ key: [] }];
const outlookParams = z.strictObject({ slug });
const seriesParams = z.strictObject({ key: slug });
const RESPONSES = problemResponses(401, 403, 404, 409, 422);
const WRITE_RESPONSES = problemResponses(400, 401, 403, 404, 409, 413, 415, 422);

export function disclosureRoutes(api: Api, ledger: DisclosureDeps): void {
  outlookReadRoute(api, ledger);
  outlookRoute(api, ledger);
  seriesReadRoute(api, ledger);
  seriesRoute(api, ledger);
}

function outlookReadRoute(api: Api, { pool }: DisclosureDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/disclosure',
    config: { access: 'analyst' },
    schema: {
      operationId: 'getOutlookDisclosure',
      tags: ['Outlooks'],
      summary: 'Read what a disclosure would open',
      description:
        'What everyone could read if the internal outlook went public: all its versions, evidence and events, and those of the other outlooks in its chain of continuations. Views stay for callers with a key. Internal series that its rules watch have to be public first.',
      security,
      params: outlookParams,
      response: { 200: disclosure, ...RESPONSES },
    },
    handler: async (request, reply) => {
      const { desks } = callerOf(request);
      forbidStoring(reply);
      return reply.send(represent(await readOutlookDisclosure(pool, request.params.slug, desks)));
    },
  });
}

function outlookRoute(api: Api, ledger: DisclosureDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/outlooks/:slug/disclosure',
    config: { access: 'analyst' },
    schema: {
      operationId: 'discloseOutlook',
      tags: ['Outlooks'],
      summary: 'Make an internal outlook public',
      description:
        'There is no way back. Opens the outlook and the others in its chain of continuations, with all their versions, evidence and events, as GET lists them. Send the `confirm` of GET: if anything was added since, nothing opens, and the problem says what would open now. The event `outlook.disclosed` follows for each outlook.',
      security,
      params: outlookParams,
      body: disclosureInput,
      response: { 200: disclosed, ...WRITE_RESPONSES },
    },
    handler: async (request, reply) => {
      const { slug: name } = request.params;
      await answer(request, reply, ledger, `/v1/outlooks/${name}`, async (session, actor, at) => {
        const check = checkOf(request.body.confirm);
        const outlooks = await discloseOutlook(session, name, actor, check, () => at);
        return { outlooks, series: [] };
      });
      return reply;
    },
  });
}

function seriesReadRoute(api: Api, { pool }: DisclosureDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/series/:key/disclosure',
    config: { access: 'analyst' },
    schema: {
      operationId: 'getSeriesDisclosure',
      tags: ['Series'],
      summary: 'Read what the disclosure of a series would open',
      description:
        'What everyone could read if the internal series went public: all its observations with their vintages and notes.',
      security,
      params: seriesParams,
      response: { 200: disclosure, ...RESPONSES },
    },
    handler: async (request, reply) => {
      const { desks } = callerOf(request);
      forbidStoring(reply);
      return reply.send(represent(await readSeriesDisclosure(pool, request.params.key, desks)));
    },
  });
}

function seriesRoute(api: Api, ledger: DisclosureDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/series/:key/disclosure',
    config: { access: 'analyst' },
    schema: {
      operationId: 'discloseSeries',
      tags: ['Series'],
      summary: 'Make an internal series public',
      description:
        'There is no way back. Opens all observations of the series with their vintages and notes. The outlooks that watch it stay as they are. Send the `confirm` of GET: if anything was recorded since, nothing opens.',
      security,
      params: seriesParams,
      body: disclosureInput,
      response: { 200: disclosed, ...WRITE_RESPONSES },
    },
    handler: async (request, reply) => {
      const { key } = request.params;
      await answer(request, reply, ledger, `/v1/series/${key}`, async (session, actor, at) => {
        await discloseSeries(session, key, actor, checkOf(request.body.confirm), () => at);
        return { outlooks: [], series: [key] };
      });
      return reply;
    },
  });
}

type Names = { outlooks: string[]; series: string[] };

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  ledger: DisclosureDeps,
  subject: string,
  disclose: (session: pg.PoolClient, actor: Actor, at: Date) => Promise<Names>,
): Promise<void> {
  const { analyst, desks } = callerOf(request);
  const { cache, feed, now } = ledger;
  await runWrite(request, reply, ledger, {
    work: async (session) => {
      const at = now();
      return { at, ...(await disclose(session, { analyst, desks }, at)) };
    },
    respond: ({ at, outlooks, series }) => ({
      status: 200,
      body: {
        outlooks,
        series,
        disclosedBy: { id: analyst.id, name: analyst.name },
        disclosedAt: at.toISOString(),
      },
    }),
    subjectOf: ({ outlooks, series }) => ({
      subject,
      summary: `Made public: ${[...outlooks, ...series].join(', ')}`,
    }),
    afterCommit: ({ outlooks }) => {
      cache.invalidate(ANY_SERIES);
      for (const name of outlooks) cache.invalidate(name);
      feed.announce();
    },
  });
}

/**
 * Refuses to disclose anything other than what was confirmed.
 * @throws Problem `series-internal` while a rule watches an internal series, `disclosure-changed` if anything was added since
 */
function checkOf(confirm: string): (opened: Opened) => void {
  return (opened) => {
    const now = represent(opened);
    const extensions = { disclosure: now };
    if (opened.needs.length > 0) {
      const keys = opened.needs.map(({ key }) => `"${key}"`).join(', ');
      const detail = `A public outlook may use only public series; its rules watch ${keys}.`;
      throw new Problem('series-internal', detail, { extensions });
    }
    if (confirm === now.confirm) return;
    const detail = 'Something was added since you read what would open. Nothing was opened.';
    throw new Problem('disclosure-changed', detail, { extensions });
  };
}

/** Nothing is ever taken away from an outlook or a series, so their counts tell whether anything was added. */
function confirmOf({ outlooks, series, needs }: Opened): string {
  const counts = outlooks.map(({ slug: name, versions, evidence, events, views }) => [
    name,
    versions,
    evidence,
    events,
    views,
  ]);
  return digestOf(JSON.stringify([counts, series, needs.map(({ key }) => key)]));
}

function represent(opened: Opened): z.output<typeof disclosure> {
  return {
    confirm: confirmOf(opened),
    outlooks: opened.outlooks.map(
      ({ newestVersions, newestEvidence, newestEvents, ...outlook }) => ({
        ...outlook,
        newestVersions: newestVersions.map((one) => ({
          ...one,
          publishedAt: one.publishedAt.toISOString(),
        })),
        newestEvidence: newestEvidence.map((one) => ({
          ...one,
          addedAt: one.addedAt.toISOString(),
        })),
        newestEvents: newestEvents.map((one) => ({
          ...one,
          recordedAt: one.recordedAt.toISOString(),
        })),
      }),
    ),
    series: [...opened.series],
    needs: [...opened.needs],
  };
}
