import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { UsageError } from './errors.ts';

/** What a file may decompress to, in bytes. */
const MOST_BYTES = 64 * 1_048_576;

/** A file whose text is valid UTF-8. */
export type InputFile = {
  /** Its name in messages. */
  name: string;
  /** As they are in the file. */
  bytes: Buffer;
  isGzip: boolean;
  /** Decompressed and decoded, without a byte order mark. */
  text: string;
};

/**
 * Reads a file, or the standard input for `-`. One that gzip compressed is recognized by its first bytes. A file in another
 * encoding is refused: decoding it would put replacement characters in the place of letters, without a word.
 * @throws UsageError
 */
export async function readInput(file: string): Promise<InputFile> {
  const name = file === '-' ? 'Standard input' : file;
  const source = file === '-' ? process.stdin : createReadStream(file);
  const bytes = await buffer(source).catch((error: unknown) => {
    throw new UsageError(`Can't read ${name}: ${(error as Error).message}.`);
  });
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const content = isGzip ? decompress(bytes, name) : bytes;
  if (!isUtf8(content)) throw new UsageError(`${name} is not valid UTF-8${placeOfFault(content)}.`);
  return { name, bytes, isGzip, text: new TextDecoder().decode(content) };
}

function decompress(bytes: Buffer, name: string): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: MOST_BYTES });
  } catch (error) {
    throw new UsageError(`Can't decompress ${name}: ${(error as Error).message}.`);
  }
}

function placeOfFault(content: Buffer): string {
  const isUtf16 = ['fffe', 'feff'].includes(content.toString('hex', 0, 2));
  if (isUtf16) return ', but UTF-16. Save it as UTF-8';
  for (let [line, start] = [1, 0]; start < content.length; line += 1) {
    const end = content.indexOf(10, start);
    const until = end < 0 ? content.length : end;
    if (!isUtf8(content.subarray(start, until))) {
      return `: see line ${line}. Save it as UTF-8, not as Latin-1 or Windows-1252`;
    }
    start = until + 1;
  }
  return '';
}

/**
 * Reads a JSON object from a file, or from the standard input for `-`. The service validates what it holds.
 * @throws UsageError
 */
export async function readJsonObject(file: string): Promise<object> {
  const { text } = await readInput(file);
  const value = parseJson(text, file);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new UsageError(`${file} must contain one JSON object.`);
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new UsageError(`Can't read ${file} as JSON: ${(error as Error).message}.`);
  }
}
