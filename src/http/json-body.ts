import { parse as parseLossless } from 'lossless-json';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Problem } from './problems.ts';

/**
 * Makes `app` accept bodies of one media type only, and read them as JSON. It refuses bytes that are
 * not UTF-8 and members that appear twice, because JSON.parse would silently put a replacement
 * character or keep only the last one. A member named `__proto__` is an ordinary one, which the
 * schemas refuse as unknown.
 */
export function readJsonBodies(app: FastifyInstance, mediaType: string): void {
  app.removeAllContentTypeParsers();
  const parser = async (request: FastifyRequest, body: Buffer) => {
    // Some clients send a Content-Type with every request, even one without a body.
    if (body.length === 0 && request.method === 'DELETE') return undefined;
    return valueOf(textOf(request, body));
  };
  app.addContentTypeParser(mediaType, { parseAs: 'buffer' }, parser);
}

/**
 * The text of a body.
 * @throws Problem if it is not UTF-8
 */
export function textOf(request: FastifyRequest, body: Buffer): string {
  const charset = /;\s*charset="?([^";\s]+)/i.exec(request.headers['content-type'] ?? '')?.[1];
  if (charset !== undefined && !/^utf-?8$/i.test(charset)) {
    throw new Problem('unsupported-media-type', `Send the body in UTF-8, not ${charset}.`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new Problem('malformed-request', 'The body is not valid UTF-8.');
  }
}

function valueOf(text: string): unknown {
  if (text === '') throw new Problem('malformed-request', 'The body is empty; send a JSON object.');
  try {
    parseLossless(text, null, { onDuplicateKey: refuseDuplicate });
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof Problem) throw error;
    const place =
      error instanceof RangeError ? 'it is nested too deeply' : (error as Error).message;
    throw new Problem('malformed-request', `The body is not valid JSON: ${place}.`);
  }
}

function refuseDuplicate({ key, position }: { key: string; position: number }): never {
  throw new Problem(
    'malformed-request',
    `The member ${JSON.stringify(key.slice(0, 100))} appears twice in one object, the second time at position ${position}; keep one.`,
  );
}
