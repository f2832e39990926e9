import { z } from 'zod';
import {
  createInstrument,
  listInstruments,
  setCloses,
  readInstrument,
} from '../ledger/instruments.ts';
import { setFreshness } from '../http/conditional-requests.ts';
import { callerOf } from '../access/authentication.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import { keysetReads, LIST_TYPES, pageContent, sendList } from '../http/list-responses.ts';
import { listShape } from '../http/paging.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { readJsonBodies } from '../http/json-body.ts';
import { symbol } from '../http/fields.ts';
import { instrument, instrumentPatch, newInstrument } from './schemas/instruments.ts';

export type InstrumentDeps = WriteDeps;

const TAG = 'Instruments';

export async function instrumentRoutes(api: Api, ledger: InstrumentDeps): Promise<void> {
  listRoute(api, ledger);
  oneRoute(api, ledger);
  createRoute(api, ledger);
  // A scope of its own, because only this route takes merge patches, and it takes nothing else.
  await api.register(async (scope) => patchRoute(scope, ledger));
}

function patchRoute(api: Api, ledger: InstrumentDeps): void {
  readJsonBodies(api, 'application/merge-patch+json');
  api.route({
    method: 'PATCH',
    url: '/v1/instruments/:symbol',
    config: { access: 'analyst' },
    schema: {
      operationId: 'patchInstrument',
      tags: [TAG],
      summary: "Set the series of an instrument's closes",
      description:
        'A merge patch (RFC 7396) of `closes`, which can be set only once. Drawdowns and returns are computed from these closes.',
      security: [{ key: [] }],
      params: z.strictObject({ symbol }),
      consumes: ['application/merge-patch+json'],
      body: instrumentPatch,
      response: { 200: instrument, ...problemResponses(400, 401, 403, 404, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { desks } = callerOf(request);
      await runWrite(request, reply, ledger, {
        work: (session) =>
          setCloses(session, request.params.symbol, request.body.closes, desks, ledger.now()),
        respond: (named) => ({ status: 200, body: named }),
        subjectOf: ({ symbol: changed, closes }) => ({
          subject: `/v1/instruments/${changed}`,
          summary: `Set the series of its closes: ${closes}`,
        }),
      });
      return reply;
    },
  });
}

function createRoute(api: Api, ledger: InstrumentDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/instruments',
    config: { access: 'analyst' },
    schema: {
      operationId: 'createInstrument',
      tags: [TAG],
      summary: 'Add an instrument',
      description:
        'Adds an index, share, fund or other instrument that outlooks can cover. Instruments are public and for all desks, and so is the series of their closes.',
      security: [{ key: [] }],
      body: newInstrument,
      response: { 201: instrument, ...problemResponses(400, 401, 403, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      await runWrite(request, reply, ledger, {
        work: (session) =>
          createInstrument(session, request.body, callerOf(request).desks, ledger.now()),
        respond: () => ({
          status: 201,
          headers: { location: `/v1/instruments/${request.body.symbol}` },
          body: request.body,
        }),
        subjectOf: () => ({
          subject: `/v1/instruments/${request.body.symbol}`,
          summary: `Added "${request.body.name}"`,
        }),
      });
      return reply;
    },
  });
}

function listRoute(api: Api, { pool }: InstrumentDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/instruments',
    config: { access: 'read', serves: LIST_TYPES },
    schema: {
      operationId: 'listInstruments',
      tags: [TAG],
      summary: 'List instruments',
      description: 'Sorted by symbol.',
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(instrument), ...problemResponses(422) },
    },
    handler: async (request, reply) => {
      const reads = keysetReads(request.query, {
        cursorScope: 'instruments',
        position: symbol,
        fetch: (after, limit) => listInstruments(pool, { after, limit }),
        positionOf: ({ symbol }) => symbol,
        represent: (found) => found,
      });
      setFreshness(reply, 'revalidate');
      return sendList(request, reply, pool, reads, instrument);
    },
  });
}

function oneRoute(api: Api, { pool }: InstrumentDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/instruments/:symbol',
    config: { access: 'read' },
    schema: {
      operationId: 'getInstrument',
      tags: [TAG],
      summary: 'Read an instrument',
      description: 'One instrument by its symbol.',
      params: z.strictObject({ symbol }),
      response: { 200: instrument, ...problemResponses(404, 422) },
    },
    handler: async (request, reply) => {
      const found = await readInstrument(pool, request.params.symbol);
      setFreshness(reply, 'revalidate');
      return reply.send(found);
    },
  });
}
