import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { Problem } from '../http/problems.ts';

// A response with a secret is stored so that only the sender of its request can read it: encrypted with a key that is
// derived from the request's credentials, of which the ledger stores only hashes.
const CIPHER = 'aes-256-gcm';
const [NONCE_BYTES, TAG_BYTES] = [12, 16];

function cipherKey({ headers }: FastifyRequest, key: string): Buffer {
  const secret = headers.authorization ?? '';
  return Buffer.from(hkdfSync('sha256', secret, key, 'outlook-ledger answer', 32));
}

/** Encrypts a body, so that only a request with the same credentials and idempotency key can read it. */
export function sealed(body: Buffer, request: FastifyRequest, key: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, cipherKey(request, key), nonce);
  const text = Buffer.concat([cipher.update(body), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), text]);
}

/**
 * The body that was {@link sealed}.
 * @throws Problem `idempotency-key-reused` if the request has other credentials
 */
export function unsealed(stored: Buffer, request: FastifyRequest, key: string): Buffer {
  const nonce = stored.subarray(0, NONCE_BYTES);
  const tag = stored.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
  const decipher = createDecipheriv(CIPHER, cipherKey(request, key), nonce, {
    authTagLength: TAG_BYTES,
  });
  decipher.setAuthTag(tag);
  try {
    return Buffer.concat([
      decipher.update(stored.subarray(NONCE_BYTES + TAG_BYTES)),
      decipher.final(),
    ]);
  } catch {
    throw new Problem(
      'idempotency-key-reused',
      `The Idempotency-Key ${key} was sent with another API key or token, and only that one can read the response.`,
    );
  }
}
