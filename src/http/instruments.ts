import { z } from 'zod';
import { createInstrument, listInstruments, readInstrument } from '../db/instruments.ts';
import { setFreshness } from './caching.ts';
import { decodeCursor, encodeCursor, pageFrom, pageOf, pageShape, sendPage } from './paging.ts';
import { type Api, type Ledger, refusals } from './routing.ts';
import { symbol } from './schemas/fields.ts';
import { newInstrument } from './schemas/instruments.ts';

const TAG = 'Instruments';

export function instrumentRoutes(api: Api, ledger: Ledger): void {
  listRoute(api, ledger);
  oneRoute(api, ledger);
  createRoute(api, ledger);
}

function createRoute(api: Api, { db, now }: Ledger): void {
  api.route({
    method: 'POST',
    url: '/v1/instruments',
    config: { access: 'analyst' },
    schema: {
      operationId: 'createInstrument',
      tags: [TAG],
      summary: 'Add an instrument',
      description: 'What outlooks are about: an index, a share, a fund and so on.',
      security: [{ key: [] }],
      body: newInstrument,
      response: { 201: newInstrument, ...refusals(400, 401, 403, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      await createInstrument(db, request.body, now());
      return reply
        .code(201)
        .header('location', `/v1/instruments/${request.body.symbol}`)
        .send(request.body);
    },
  });
}

function listRoute(api: Api, { db, requireKeyForReads }: Ledger): void {
  api.route({
    method: 'GET',
    url: '/v1/instruments',
    config: { access: 'read' },
    schema: {
      operationId: 'listInstruments',
      tags: [TAG],
      summary: 'List instruments',
      description: 'By symbol.',
      querystring: z.strictObject(pageShape),
      response: { 200: pageOf(newInstrument), ...refusals(422) },
    },
    handler: async (request, reply) => {
      const { limit, cursor } = request.query;
      const after = decodeCursor(cursor, 'instruments', symbol);
      const found = await listInstruments(db, { after, limit: limit + 1 });
      const page = pageFrom(found, limit, (last) => encodeCursor('instruments', last.symbol));
      setFreshness(reply, 'revalidate', requireKeyForReads);
      return sendPage(request, reply, page);
    },
  });
}

function oneRoute(api: Api, { db, requireKeyForReads }: Ledger): void {
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
      response: { 200: newInstrument, ...refusals(404, 422) },
    },
    handler: async (request, reply) => {
      const instrument = await readInstrument(db, request.params.symbol);
      setFreshness(reply, 'revalidate', requireKeyForReads);
      return reply.send(instrument);
    },
  });
}
