import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { UsageError } from './errors.ts';

/** A file that was named, or the standard input for `-`. */
export function openInput(file: string): Readable {
  return file === '-' ? process.stdin : createReadStream(file);
}

/**
 * The object of a JSON file; `-` is the standard input. What it must hold the service knows.
 * @throws UsageError where it can't be read, or is none
 */
export async function readJsonObject(file: string): Promise<object> {
  const value = await text(openInput(file))
    .then((read) => JSON.parse(read) as unknown)
    .catch((error: unknown) => {
      throw new UsageError(`${file} can't be read as JSON: ${(error as Error).message}.`);
    });
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new UsageError(`${file} must hold one JSON object.`);
}
