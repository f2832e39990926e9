import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { audienceName } from '../domain/desks.ts';
import { Problem } from '../http/problems.ts';
import { authorOf } from './authentication.ts';
import type { Attempt } from './idempotency-store.ts';

// A structured-field string (RFC 9651), as the draft requires, or the bare characters that many clients send.
const KEY =
  /^(?:"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{1,255}))$/;

/**
 * The attempt that a request with an `Idempotency-Key` makes (draft-ietf-httpapi-idempotency-key-header-07); null if it has
 * no key.
 * @throws Problem `invalid-request` for a key that is malformed
 */
export function attemptOf(request: FastifyRequest): Attempt | null {
  const key = idempotencyKeyOf(request);
  if (key === null) return null;
  return { analystId: authorOf(request).id, key, requestHash: hashOf(request) };
}

function idempotencyKeyOf(request: FastifyRequest): string | null {
  const header = request.headers['idempotency-key'];
  if (header === undefined) return null;
  const [, quoted, bare] = (typeof header === 'string' && KEY.exec(header)) || [];
  const key = quoted ?? bare;
  if (key !== undefined) return key;
  throw new Problem('invalid-request', 'The Idempotency-Key is not valid. Nothing was stored.', {
    errors: [
      {
        pointer: '/idempotency-key',
        detail:
          'must be given once: 1–255 printable ASCII characters, such as a UUID, in double quotes',
        in: 'header',
      },
    ],
  });
}

/**
 * The hash of the parsed request, so that neither white space nor the order of members makes it another request. Another key
 * of the analyst, for other desks, does: the first response may show what it may not see.
 */
function hashOf({ method, url, body, headers, audience }: FastifyRequest): Buffer {
  const desks = audience.desks === 'all' ? [] : [audienceName(audience)];
  const sent = JSON.stringify([method, url, headers['if-match'] ?? null, body, ...desks]);
  return createHash('sha256').update(sent).digest();
}
