import { isUtf8 } from 'node:buffer';
import { parse as parseLossless } from 'lossless-json';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { numberFault } from '../domain/decimals.ts';
import { type FieldError, jsonPointer, Problem } from './problems.ts';

/** The faults of the numbers of bodies, by the parsed body. */
const numberFaults = new WeakMap<object, FieldError[]>();

/**
 * The numbers of a body that a double can't represent, each with its pointer. The schema of a route can't find
 * them, because it sees only doubles.
 */
export function numberFaultsOf(body: unknown): readonly FieldError[] {
  return (typeof body === 'object' && body !== null && numberFaults.get(body)) || [];
}

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
    await request.work?.takeTurn();
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
    throw new Problem('malformed-request', `The body is not valid UTF-8${encodingHint(body)}.`);
  }
}

/** By the bytes with which they begin: what is sent in place of text. */
const OTHER_FILES: readonly [string, string][] = [
  ['fffe', ', but UTF-16: save the file as UTF-8'],
  ['feff', ', but UTF-16: save the file as UTF-8'],
  ['1f8b', ', but gzip, where a route takes it: send it with Content-Encoding: gzip'],
  ['504b0304', ', but a workbook of Excel or another archive: save it as CSV in UTF-8'],
];

function encodingHint(body: Buffer): string {
  const other = OTHER_FILES.find(([start]) => body.toString('hex', 0, start.length / 2) === start);
  if (other) return other[1];
  const line = firstFaultyLine(body);
  return line === null
    ? ''
    : `: see line ${line}. Save the file as UTF-8, not as Latin-1 or Windows-1252`;
}

/** The number of the first line that is not UTF-8; null for a text of one line. A line feed is never a part of a character. */
function firstFaultyLine(body: Buffer): number | null {
  for (let [line, start] = [1, 0]; start < body.length; line += 1) {
    const end = body.indexOf(10, start);
    const until = end < 0 ? body.length : end;
    if (!isUtf8(body.subarray(start, until))) return start === 0 && end < 0 ? null : line;
    start = until + 1;
  }
  return null;
}

function valueOf(text: string): unknown {
  if (text === '') throw new Problem('malformed-request', 'The body is empty; send a JSON object.');
  try {
    let hasFaults = false;
    const parseNumber = (written: string) => {
      const fault = numberFault(written);
      hasFaults ||= fault !== null;
      return fault === null ? Number(written) : new FaultyNumber(fault);
    };
    const parsed = parseLossless(text, null, { onDuplicateKey: refuseDuplicate, parseNumber });
    const body: unknown = JSON.parse(text);
    if (hasFaults && typeof body === 'object' && body !== null) {
      numberFaults.set(body, [...faultyNumbersOf(parsed, [])]);
    }
    return body;
  } catch (error) {
    if (error instanceof Problem) throw error;
    const place =
      error instanceof RangeError ? 'it is nested too deeply' : (error as Error).message;
    throw new Problem('malformed-request', `The body is not valid JSON: ${place}.`);
  }
}

class FaultyNumber {
  readonly detail: string;

  constructor(detail: string) {
    this.detail = detail;
  }
}

function* faultyNumbersOf(value: unknown, path: (string | number)[]): Generator<FieldError> {
  if (value instanceof FaultyNumber) {
    yield { pointer: jsonPointer(path), detail: value.detail };
  } else if (Array.isArray(value)) {
    for (const [index, one] of value.entries()) yield* faultyNumbersOf(one, [...path, index]);
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, one] of Object.entries(value)) yield* faultyNumbersOf(one, [...path, name]);
  }
}

function refuseDuplicate({ key, position }: { key: string; position: number }): never {
  throw new Problem(
    'malformed-request',
    `The member ${JSON.stringify(key.slice(0, 100))} appears twice in one object, the second time at position ${position}; keep one.`,
  );
}
