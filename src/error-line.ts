import { reasonOf } from './postgres/pool.ts';
import { Problem } from './http/problems.ts';

/** An error's message on one line, for standard error. */
export function errorLine(error: unknown): string {
  if (error instanceof Problem && error.errors.length > 0) {
    return error.errors.map(({ pointer, detail }) => `${pointer.slice(1)} ${detail}`).join('; ');
  }
  const lines = reasonOf(error).split('\n');
  return lines
    .map((line) => line.trim())
    .filter(Boolean)
    .join(' ');
}
