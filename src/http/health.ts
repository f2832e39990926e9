import { z } from 'zod';
import { schemaFault } from '../db/migrate.ts';
import { forbidStoring } from './caching.ts';
import { Problem } from './problems.ts';
import { type Api, type Ledger, refusals } from './routing.ts';

const TAG = 'Service';

export function healthRoutes(api: Api, ledger: Ledger): void {
  livenessRoute(api);
  readinessRoute(api, ledger);
}

function livenessRoute(api: Api): void {
  api.route({
    method: 'GET',
    url: '/healthz',
    config: { access: 'public', isUnlimited: true },
    schema: {
      operationId: 'getHealth',
      tags: [TAG],
      summary: 'Is the process alive?',
      description:
        'Answers as long as the process can answer anything; asks nothing of the database.',
      security: [],
      response: { 200: z.object({ status: z.literal('ok') }), ...refusals(422) },
    },
    handler: async (_request, reply) => {
      forbidStoring(reply);
      return reply.send({ status: 'ok' });
    },
  });
}

function readinessRoute(api: Api, { db, feed }: Ledger): void {
  api.route({
    method: 'GET',
    url: '/readyz',
    config: { access: 'public', isUnlimited: true },
    schema: {
      operationId: 'getReadiness',
      tags: [TAG],
      summary: 'Can the service do its work?',
      description:
        'Asks the database and compares its schema with the one this release needs. While the change feed is away the service does its work, but slower: reads ask the database, and streams tell of nothing.',
      security: [],
      response: {
        200: z.object({ status: z.literal('ready'), changeFeed: z.enum(['current', 'away']) }),
        ...refusals(422, 503),
      },
    },
    handler: async (_request, reply) => {
      const fault = await schemaFault(db);
      if (fault) {
        throw new Problem('unavailable', `The database is not ready: ${fault}`, {
          headers: { 'retry-after': '5' },
        });
      }
      forbidStoring(reply);
      return reply.send({ status: 'ready', changeFeed: feed.isCurrent ? 'current' : 'away' });
    },
  });
}
