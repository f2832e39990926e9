import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type pg from 'pg';
import { appendAudit } from './audit-log.ts';
import { inTransaction } from '../postgres/pool.ts';
import { AttemptInFlight, keepAnswer, type StoredAnswer, takeKey } from './idempotency-store.ts';
import { writeOf } from './audit-trail.ts';
import { authorOf } from './authentication.ts';
import { Problem } from '../http/problems.ts';

export type WriteDeps = {
  pool: pg.Pool;
  now: () => Date;
  idempotencyHours: number;
};

/** An answer before it is sent: a body as it is, or what is to be written as JSON. */
export type WriteResponse = {
  status: number;
  headers?: Record<string, string>;
  body: Buffer | object;
};

type Write<Result> = {
  /** Does it all in the transaction of the session. */
  work: (session: pg.PoolClient) => Promise<Result>;
  respond: (result: Result) => WriteResponse;
  /** Tells of what is committed, before it is answered. */
  afterCommit?: (result: Result) => void;
  /** Whether the answer holds what may be stored by nobody; see {@link sealed}. */
  isSecret?: boolean;
};

const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8' };

/**
 * Carries out a write once: in one transaction and, where the client sent an `Idempotency-Key`, together with its
 * answer, so that no crash can part them. Sent again, the request is answered as it was the first time, byte
 * for byte (draft-ietf-httpapi-idempotency-key-header-07). What was refused left nothing, so it is tried anew.
 * @throws Problem `idempotency-key-reused` where the key was sent with something else, `idempotency-key-in-flight`
 *   where it is at work right now, `invalid-request` for a key that is none
 */
export async function runWrite<Result>(
  request: FastifyRequest,
  reply: FastifyReply,
  ledger: Pick<WriteDeps, 'pool' | 'now' | 'idempotencyHours'>,
  write: Write<Result>,
): Promise<void> {
  const key = idempotencyKeyOf(request);
  if (key === null) {
    const { result, made } = await inTransaction(ledger.pool, (session) =>
      runAndAudit(session, request, ledger, write),
    );
    write.afterCommit?.(result);
    send(reply, made);
    return;
  }
  await answerOnce(request, reply, ledger, write, key);
}

/** Does the work, and records who did it. */
async function runAndAudit<Result>(
  session: pg.PoolClient,
  request: FastifyRequest,
  { now }: Pick<WriteDeps, 'now'>,
  { work, respond }: Write<Result>,
): Promise<{ result: Result; made: StoredAnswer }> {
  const result = await work(session);
  const made = storable(respond(result));
  await appendAudit(session, [writeOf(request, made.status, now())]);
  return { result, made };
}

async function answerOnce<Result>(
  request: FastifyRequest,
  reply: FastifyReply,
  ledger: Pick<WriteDeps, 'pool' | 'now' | 'idempotencyHours'>,
  write: Write<Result>,
  key: string,
): Promise<void> {
  const { pool, now, idempotencyHours } = ledger;
  const { afterCommit, isSecret = false } = write;
  const attempt = { analystId: authorOf(request).id, key, requestHash: hashOf(request) };
  const since = new Date(now().getTime() - idempotencyHours * 3_600_000);
  try {
    const outcome = await inTransaction(pool, async (session) => {
      const earlier = await takeKey(session, attempt, since);
      if (earlier) return { earlier };
      const { result, made } = await runAndAudit(session, request, ledger, write);
      const kept = isSecret ? { ...made, body: sealed(made.body, request, key) } : made;
      await keepAnswer(session, attempt, kept, now());
      return { result, made };
    });
    if ('earlier' in outcome) {
      const { requestHash, answer: kept } = outcome.earlier;
      if (!requestHash.equals(attempt.requestHash)) {
        throw new Problem(
          'idempotency-key-reused',
          `The key ${key} was sent with another request.`,
        );
      }
      send(reply, isSecret ? { ...kept, body: unsealed(kept.body, request, key) } : kept);
      return;
    }
    afterCommit?.(outcome.result);
    send(reply, outcome.made);
  } catch (error) {
    if (!(error instanceof AttemptInFlight)) throw error;
    throw new Problem(
      'idempotency-key-in-flight',
      `A request with the key ${key} is still in progress.`,
      {
        headers: { 'retry-after': '1' },
      },
    );
  }
}

function storable({ status, headers = {}, body }: WriteResponse): StoredAnswer {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  return { status, headers: { ...JSON_HEADERS, ...headers }, body: bytes };
}

/** Answers a write. */
export function sendWriteResponse(reply: FastifyReply, answer: WriteResponse): void {
  send(reply, storable(answer));
}

/** Whether a write may be sent again under a key. */
export function hasIdempotencyKey(request: FastifyRequest): boolean {
  return request.headers['idempotency-key'] !== undefined;
}

function send(reply: FastifyReply, { status, headers, body }: StoredAnswer): void {
  void reply.code(status).headers(headers).send(body);
}

// A string of structured fields (RFC 9651), as the draft has it, or the bare characters that many clients send.
const KEY =
  /^(?:"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{1,255}))$/;

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

/** Of the request as it was understood: spaces and the order of members make no other request of it. */
function hashOf({ method, url, body, headers }: FastifyRequest): Buffer {
  const sent = JSON.stringify([method, url, headers['if-match'] ?? null, body]);
  return createHash('sha256').update(sent).digest();
}

// An answer that holds an API key is kept so that only who sent the request can read it: enciphered by what they
// sent, of which the ledger stores nothing but a hash.
const CIPHER = 'aes-256-gcm';
const [NONCE_BYTES, TAG_BYTES] = [12, 16];

function cipherKey({ headers }: FastifyRequest, key: string): Buffer {
  const secret = headers.authorization ?? '';
  return Buffer.from(hkdfSync('sha256', secret, key, 'outlook-ledger answer', 32));
}

function sealed(body: Buffer, request: FastifyRequest, key: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, cipherKey(request, key), nonce);
  const text = Buffer.concat([cipher.update(body), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), text]);
}

function unsealed(kept: Buffer, request: FastifyRequest, key: string): Buffer {
  const nonce = kept.subarray(0, NONCE_BYTES);
  const tag = kept.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
  const decipher = createDecipheriv(CIPHER, cipherKey(request, key), nonce, {
    authTagLength: TAG_BYTES,
  });
  decipher.setAuthTag(tag);
  try {
    return Buffer.concat([
      decipher.update(kept.subarray(NONCE_BYTES + TAG_BYTES)),
      decipher.final(),
    ]);
  } catch {
    throw new Problem(
      'idempotency-key-reused',
      `The Idempotency-Key ${key} was sent with another API key or token, and only that one can read the response.`,
    );
  }
}
