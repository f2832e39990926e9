import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type ApiKey, issueKey, type KeyIssuer, listKeys, readKey, revokeKey } from './api-keys.ts';
import type { AuditSubject } from './audit-log.ts';
import { authorOf } from './authentication.ts';
import { ALL } from './desks.ts';
import { forbidStoring } from '../http/conditional-requests.ts';
import { runWrite, type WriteDeps } from './run-write.ts';
import { keysetReads, LIST_TYPES, pageContent, sendList } from '../http/list-responses.ts';
import { creationPosition, listShape } from '../http/paging.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { issuedKey, key, newKey } from './key-schemas.ts';
import { Problem } from '../http/problems.ts';

export type KeyDeps = WriteDeps & {
  /** Whether tokens can have the role admin; the last admin key may then be revoked. */
  hasAdminTokens: boolean;
  /** Days after which a key expires if the request does not say when. */
  keyDays: number;
};

const TAG = 'Keys';
const params = z.strictObject({ id: z.uuid({ error: 'must be the id of a key, a UUID' }) });
const security = [{ key: [] }];

export function keyRoutes(api: Api, ledger: KeyDeps): void {
  issueRoute(api, ledger);
  listRoute(api, ledger);
  oneRoute(api, ledger);
  revokeRoute(api, ledger);
}

function issueRoute(api: Api, ledger: KeyDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/keys',
    config: { access: 'admin' },
    schema: {
      operationId: 'issueKey',
      tags: [TAG],
      summary: 'Issue a key',
      description:
        'The response contains the key. It is shown only once, because only its hash is stored.',
      security,
      body: newKey,
      response: { 201: issuedKey, ...problemResponses(400, 401, 403, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const at = ledger.now();
      const requested = keyRequest(request.body, at, ledger.keyDays);
      forbidStoring(reply);
      await runWrite(request, reply, ledger, {
        work: (session) => issueKey(session, requested, at, issuerOf(request)),
        respond: ({ key: text, issued }) => ({
          status: 201,
          headers: { location: `/v1/keys/${issued.id}` },
          body: { ...representKey(issued), key: text },
        }),
        subjectOf: ({ issued }) => issuedSubject(issued),
        isSecret: true,
      });
      return reply;
    },
  });
}

/** In milliseconds. */
const DAY = 86_400_000;

/**
 * The key that a request asks for.
 * @param keyDays days after which the key expires unless the request says when
 * @throws Problem if the key would be expired from the start
 */
export function keyRequest(body: z.output<typeof newKey>, now: Date, keyDays: number) {
  const { expiresAt: sent = new Date(now.getTime() + keyDays * DAY) } = body;
  const expiresAt = sent === null ? null : new Date(sent);
  if (expiresAt === null || expiresAt > now) return { ...body, expiresAt };
  throw new Problem('invalid-request', 'The key would already be expired.', {
    errors: [
      {
        pointer: '/expiresAt',
        detail: `must be in the future; the server time is ${now.toISOString()}`,
      },
    ],
  });
}

function listRoute(api: Api, { pool }: KeyDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/keys',
    config: { access: 'admin', serves: LIST_TYPES },
    schema: {
      operationId: 'listKeys',
      tags: [TAG],
      summary: 'List keys',
      description: 'Newest first, including expired and revoked keys.',
      security,
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(key), ...problemResponses(401, 403, 422) },
    },
    handler: async (request, reply) => {
      const reads = keysetReads(request.query, {
        cursorScope: 'keys',
        position: creationPosition,
        fetch: (after, limit) => listKeys(pool, { after, limit }),
        positionOf: ({ createdAt, id }) => ({ createdAt, id }),
        represent: representKey,
      });
      forbidStoring(reply);
      return sendList(request, reply, null, reads, key);
    },
  });
}

function oneRoute(api: Api, { pool }: KeyDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/keys/:id',
    config: { access: 'admin' },
    schema: {
      operationId: 'getKey',
      tags: [TAG],
      summary: 'Read a key',
      description: 'The metadata of a key. The key itself is never shown again.',
      security,
      params,
      response: { 200: key, ...problemResponses(401, 403, 404, 422) },
    },
    handler: async (request, reply) => {
      const found = await readKey(pool, request.params.id);
      forbidStoring(reply);
      return reply.send(representKey(found));
    },
  });
}

function revokeRoute(api: Api, ledger: KeyDeps): void {
  api.route({
    method: 'DELETE',
    url: '/v1/keys/:id',
    config: { access: 'admin' },
    schema: {
      operationId: 'revokeKey',
      tags: [TAG],
      summary: 'Revoke a key',
      description:
        'The key is refused from the next request on, permanently. Revoking a key twice changes nothing. The last admin key can be revoked only if tokens of an identity provider can have the role admin; admin keys that expire within an hour do not count.',
      security,
      params,
      response: { 204: z.null(), ...problemResponses(400, 401, 403, 404, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { id } = request.params;
      await runWrite(request, reply, ledger, {
        work: (session) =>
          revokeKey(session, id, ledger.now(), { keepsLastAdmin: !ledger.hasAdminTokens }),
        respond: () => ({ status: 204, body: null }),
        subjectOf: ({ key: revoked }) => revokedSubject(revoked),
        ignoresKey: true,
      });
      return reply;
    },
  });
}

function issuerOf(request: FastifyRequest): KeyIssuer {
  const { id: analystId } = authorOf(request);
  return { analystId, credential: request.caller?.id ?? '' };
}

/** What the audit trail says of a key that was issued. */
export function issuedSubject({ id, analyst, role, deskSlugs }: ApiKey): AuditSubject {
  const desks = deskSlugs === null ? 'all desks' : `the desks ${listed(deskSlugs)}`;
  return {
    subject: `/v1/keys/${id}`,
    summary: `Issued to "${analyst.name}" with the role ${role} for ${desks}`,
  };
}

/** The most desks that an audit entry names. */
const MOST_NAMED = 10;

function listed(slugs: readonly string[]): string {
  const others = slugs.length - MOST_NAMED;
  return slugs.slice(0, MOST_NAMED).join(', ') + (others > 0 ? ` and ${others} others` : '');
}

/** What the audit trail says of a key that was revoked. */
export function revokedSubject({ id, analyst, role }: ApiKey): AuditSubject {
  return { subject: `/v1/keys/${id}`, summary: `Revoked: "${analyst.name}", role ${role}` };
}

function representKey(known: ApiKey): z.output<typeof key> {
  const {
    analyst,
    createdAt,
    expiresAt,
    revokedAt,
    lastUsedAt,
    desks: _,
    isDeactivated: __,
    deskSlugs,
    ...rest
  } = known;
  return {
    ...rest,
    desks: [...(deskSlugs ?? [ALL])],
    name: analyst.name,
    analystId: analyst.id,
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt?.toISOString() ?? null,
    revokedAt: revokedAt?.toISOString() ?? null,
    lastUsedAt: lastUsedAt?.toISOString() ?? null,
  };
}
