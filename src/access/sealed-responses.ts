import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { Problem } from '../http/problems.ts';

// A response that holds a secret is stored so that only who sent the request can read it: enciphered by what they
// sent, of which the ledger stores nothing but a hash.
const CIPHER = 'aes-256-gcm';
const [NONCE_BYTES, TAG_BYTES] = [12, 16];

function cipherKey({ headers }: FastifyRequest, key: string): Buffer {
  const secret = headers.authorization ?? '';
  return Buffer.from(hkdfSync('sha256', secret, key, 'outlook-ledger answer', 32));
}

/** Seals a body, so that it is read only by a request with the same credentials and idempotency key. */
export function sealed(body: Buffer, request: FastifyRequest, key: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, cipherKey(request, key), nonce);
  const text = Buffer.concat([cipher.update(body), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), text]);
}

/**
 * The body that was {@link sealed}.
 * @throws Problem `idempotency-key-reused` where the request carries other credentials
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
