import type pg from 'pg';
import { forbidStoring } from '../http/conditional-requests.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { readKey } from './api-keys.ts';
import { callerOf } from './authentication.ts';
import { ALL, slugsOf } from './desks.ts';
import { me, type Me } from './me-schemas.ts';

export type MeDeps = { pool: pg.Pool };

export function meRoutes(api: Api, { pool }: MeDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/me',
    config: { access: 'key' },
    schema: {
      operationId: 'getMe',
      tags: ['Keys'],
      summary: 'Read who you are',
      description:
        'The analyst behind the key or token of the request, what it may do, the desks that it acts for, and when it expires.',
      security: [{ key: [] }],
      response: { 200: me, ...problemResponses(401, 403, 422) },
    },
    handler: async (request, reply) => {
      const { analyst, roles, id, desks, token } = callerOf(request);
      const key = token === null ? await readOwnKey(pool, id) : null;
      forbidStoring(reply);
      return reply.send({
        analyst: { id: analyst.id, name: analyst.name },
        roles: [...roles],
        desks: desks === 'all' ? [ALL] : await slugsOf(pool, desks),
        key,
        token: token && { ...token, expiresAt: token.expiresAt.toISOString() },
      });
    },
  });
}

async function readOwnKey(pool: pg.Pool, id: string): Promise<Me['key']> {
  const { hint, createdAt, expiresAt, lastUsedAt } = await readKey(pool, id);
  return {
    id,
    hint,
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt && expiresAt.toISOString(),
    lastUsedAt: lastUsedAt && lastUsedAt.toISOString(),
  };
}
