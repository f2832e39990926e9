import { createGunzip, type Gunzip } from 'node:zlib';
import type { FastifyInstance, RequestPayload } from 'fastify';
import { Problem } from './problems.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route takes bodies that are compressed by gzip. Its limit holds for the decompressed body, too. */
    takesGzip?: true;
  }
}

/**
 * Decompresses the bodies of routes that take gzip, and refuses other content codings before the body is read
 * (RFC 9110, 8.4 and 15.5.16).
 * @throws Problem `unsupported-media-type`
 */
export function decodeBodies(app: FastifyInstance): void {
  app.addHook('preParsing', async ({ method, headers, routeOptions }, _reply, payload) => {
    const sent = headers['content-encoding'];
    if (sent === undefined || method === 'GET' || method === 'HEAD') return payload;
    const codings = sent.split(',').map((coding) => coding.trim().toLowerCase());
    const applied = codings.filter((coding) => !['', 'identity'].includes(coding));
    const { takesGzip = false } = routeOptions.config;
    if (applied.length === 0) return payload;
    if (takesGzip && applied.length === 1 && /^(x-)?gzip$/.test(applied[0] ?? '')) {
      return decompressed(payload, routeOptions.bodyLimit);
    }
    const instead = takesGzip ? 'compressed by gzip once, or without' : 'without a content coding';
    throw new Problem(
      'unsupported-media-type',
      `Send the body ${instead}, not with Content-Encoding: ${sent}.`,
      { headers: { 'accept-encoding': takesGzip ? 'gzip, identity' : 'identity' } },
    );
  });
}

/**
 * A body that decompresses as it is read. It ends at the limit, at which Fastify refuses it: a few kilobytes may hold
 * gigabytes.
 */
function decompressed(payload: RequestPayload, limit: number): RequestPayload {
  const gunzip: Gunzip & { receivedEncodedLength?: number } = createGunzip();
  let [encoded, decoded] = [0, 0];
  payload.on('data', (chunk: Buffer) => {
    encoded += chunk.length;
    gunzip.receivedEncodedLength = encoded; // Fastify compares it with Content-Length
  });
  payload.on('error', (error: Error) => gunzip.destroy(error));
  gunzip.on('data', (chunk: Buffer) => {
    decoded += chunk.length;
    if (decoded <= limit) return;
    payload.unpipe(gunzip);
    payload.resume();
    setImmediate(() => gunzip.destroy());
  });
  gunzip.on('error', (error) => {
    error.message = `it is not valid gzip (${error.message})`;
    payload.resume();
  });
  return payload.pipe(gunzip);
}
