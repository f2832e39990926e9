import { DrizzleQueryError } from 'drizzle-orm/errors';
import { Problem } from './http/problems.ts';

/** An error as one line for whoever started a command. */
export function inOneLine(error: unknown): string {
  if (error instanceof Problem && error.errors.length > 0) {
    return error.errors.map(({ pointer, detail }) => `${pointer.slice(1)} ${detail}`).join('; ');
  }
  // Its own message holds the query's parameters, such as the hash of a key.
  const told = error instanceof DrizzleQueryError && error.cause ? error.cause : error;
  const message = told instanceof Error ? told.message : String(told);
  return message.replaceAll(/\s*\n\s*/g, ' ');
}
