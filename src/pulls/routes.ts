import { z } from 'zod';
import type { AuditSubject } from '../access/audit-log.ts';
import { callerOf } from '../access/authentication.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import { lockSeries } from '../ledger/observations.ts';
import { forbidStoring } from '../http/conditional-requests.ts';
import { slug } from '../http/fields.ts';
import { Problem } from '../http/problems.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { addressFault } from '../outbound/addresses.ts';
import type { SeriesPuller } from './puller.ts';
import { seriesSource, sourceInput } from './schemas.ts';
import { type Place, readSource, removeSource, type SeriesSource, setSource } from './sources.ts';

export type SourceDeps = WriteDeps & { puller: SeriesPuller };

const TAG = 'Series';
const URL_OF_SOURCE = '/v1/series/:key/source';
const params = z.strictObject({ key: slug });
const security = [{ key: [] }];

export function sourceRoutes(api: Api, ledger: SourceDeps): void {
  readRoute(api, ledger);
  setRoute(api, ledger);
  removeRoute(api, ledger);
}

function readRoute(api: Api, { pool, now }: SourceDeps): void {
  api.route({
    method: 'GET',
    url: URL_OF_SOURCE,
    config: { access: 'feed' },
    schema: {
      operationId: 'getSeriesSource',
      tags: [TAG],
      summary: 'Read where a series is pulled from',
      description:
        'The source of a series, the last pull that succeeded, the last one that failed and why, and when the next one is due.',
      security,
      params,
      response: { 200: seriesSource, ...problemResponses(401, 403, 404, 422) },
    },
    handler: async (request, reply) => {
      const { key } = request.params;
      const source = await readSource(pool, key);
      forbidStoring(reply);
      return reply.send(represent(key, source, now()));
    },
  });
}

const SET = `The service fetches the source now and then every \`everyMinutes\`, and records what is new: days that the series lacks, and days for which the source has another value than before.
A pull never retracts a day, and a day that somebody corrected keeps the correction until the source publishes a value that the day has not had since. A file with any fault stores nothing, and \`lastFailure\` says why;
the next attempts follow after 1, 5 and 15 minutes, and 1, 3, 6 and then every 12 hours, or when the server asks for them (\`Retry-After\`).

Another \`kind\`, \`id\`, \`url\` or \`file\` than before replaces the source, and its status starts anew. Otherwise only the schedule changes, and the source is pulled now.`;

function setRoute(api: Api, ledger: SourceDeps): void {
  api.route({
    method: 'PUT',
    url: URL_OF_SOURCE,
    config: { access: 'feed' },
    schema: {
      operationId: 'setSeriesSource',
      tags: [TAG],
      summary: 'Set where a series is pulled from',
      description: SET,
      security,
      params,
      body: sourceInput,
      response: {
        200: seriesSource,
        201: seriesSource,
        ...problemResponses(400, 401, 403, 404, 413, 415, 422),
      },
    },
    handler: async (request, reply) => {
      const { key } = request.params;
      const { desks } = callerOf(request);
      const { everyMinutes } = request.body;
      const place = placeOf(request.body);
      await requireReachable(place, ledger.puller);
      forbidStoring(reply);
      await runWrite(request, reply, ledger, {
        work: async (session) => {
          const series = await lockSeries(session, key, desks);
          return setSource(session, series, { place, everyMinutes }, ledger.now());
        },
        respond: ({ source, change }) => ({
          ...(change === 'set'
            ? { status: 201, headers: { location: `/v1/series/${key}/source` } }
            : { status: 200 }),
          body: represent(key, source, ledger.now()),
        }),
        subjectOf: () =>
          subjectOf(key, `Set the source to ${place.url ?? `${place.kind} ${place.providerId}`}`),
        afterCommit: () => ledger.puller.wake(),
        ignoresKey: true,
      });
      return reply;
    },
  });
}

function placeOf({ kind, id, url, file }: z.output<typeof sourceInput>): Place {
  if (kind !== 'url') return { kind, providerId: id ?? '', url: null, layout: null };
  const { format: provider, ...rest } = file ?? {};
  return {
    kind,
    providerId: null,
    url: url ?? '',
    layout: { ...rest, ...(provider && { provider }) },
  };
}

/**
 * Refuses a URL that nothing would be fetched from. A name that can't be looked up now is taken: it is looked up anew at each
 * pull.
 * @throws Problem `invalid-request`
 */
async function requireReachable({ url }: Place, puller: SeriesPuller): Promise<void> {
  if (url === null) return;
  const target = new URL(url);
  const detail = await addressFault(target, puller.policyOf(target));
  if (detail === null) return;
  throw new Problem('invalid-request', 'The service may not fetch this URL. Nothing was stored.', {
    errors: [{ pointer: '/url', detail }],
  });
}

function removeRoute(api: Api, ledger: SourceDeps): void {
  api.route({
    method: 'DELETE',
    url: URL_OF_SOURCE,
    config: { access: 'feed' },
    schema: {
      operationId: 'removeSeriesSource',
      tags: [TAG],
      summary: 'Stop pulling a series',
      description:
        'Removes the source with its status. The observations stay, and a pull under way stores nothing.',
      security,
      params,
      response: { 204: z.null(), ...problemResponses(400, 401, 403, 404, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { key } = request.params;
      const { desks } = callerOf(request);
      await runWrite(request, reply, ledger, {
        work: async (session) => removeSource(session, await lockSeries(session, key, desks)),
        respond: () => ({ status: 204, body: null }),
        subjectOf: () => subjectOf(key, 'Removed the source'),
        ignoresKey: true,
      });
      return reply;
    },
  });
}

function subjectOf(key: string, summary: string): AuditSubject {
  return { subject: `/v1/series/${key}/source`, summary };
}

function represent(key: string, source: SeriesSource, now: Date): z.output<typeof seriesSource> {
  const { kind, providerId: id, url, layout, everyMinutes, setAt, dueAt, startedAt } = source;
  const isPulling = startedAt !== null && dueAt > now;
  return {
    series: key,
    kind,
    id,
    url,
    file: layout && {
      format: layout.provider ?? null,
      dateColumn: layout.dateColumn ?? null,
      valueColumn: layout.valueColumn ?? null,
      dateFormat: layout.dateFormat ?? null,
      decimal: layout.decimal ?? null,
      delimiter: layout.delimiter ?? null,
      missing: [...(layout.missing ?? [])],
    },
    everyMinutes,
    setAt: setAt.toISOString(),
    state: isPulling ? 'pulling' : source.failures > 0 ? 'failing' : 'waiting',
    nextPullAt: dueAt.toISOString(),
    ...lastPulls(source),
  };
}

function lastPulls(source: SeriesSource) {
  const { lastSuccessAt, lastAdded, lastRevised, lastUnchanged } = source;
  const { lastErrorAt, lastError, failures } = source;
  return {
    lastSuccess: lastSuccessAt && {
      at: lastSuccessAt.toISOString(),
      added: lastAdded ?? 0,
      revised: lastRevised ?? 0,
      unchanged: lastUnchanged ?? 0,
    },
    lastFailure: lastErrorAt && {
      at: lastErrorAt.toISOString(),
      detail: lastError ?? '',
      failures,
    },
  };
}
