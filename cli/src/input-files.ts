import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { UsageError } from './errors.ts';

/** Opens a file, or the standard input for `-`. */
export function openInput(file: string): Readable {
  return file === '-' ? process.stdin : createReadStream(file);
}

/**
 * Reads a JSON object from a file, or from the standard input for `-`. The service validates what it holds.
 * @throws UsageError
 */
export async function readJsonObject(file: string): Promise<object> {
  const value = await text(openInput(file))
    .then((json) => JSON.parse(json) as unknown)
    .catch((error: unknown) => {
      throw new UsageError(`Can't read ${file} as JSON: ${(error as Error).message}.`);
    });
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new UsageError(`${file} must contain one JSON object.`);
}
