import { z } from 'zod';
import type { Fault } from '../../domain/errors.ts';
import { MOST_BYTES } from '../../domain/proposals.ts';
import { addFaults } from '../../http/fields.ts';

/** Deeper than any request; Postgres and readers recurse into it. */
const MOST_DEPTH = 32;
const NUL = '\u0000';

/** The body of a request as JSON, of which only what could not be stored is a fault. */
export const requestBody = z.record(z.string(), z.unknown()).superRefine((body, context) => {
  const faults = [...unstorable(body, [])].slice(0, 100);
  if (faults.length > 0) return addFaults(context, faults);
  const bytes = Buffer.byteLength(JSON.stringify(body));
  if (bytes <= MOST_BYTES) return;
  addFaults(context, [
    { path: [], detail: `must have at most ${MOST_BYTES} bytes as JSON, not ${bytes}` },
  ]);
});

function* unstorable(value: unknown, path: (string | number)[]): Generator<Fault> {
  if (typeof value === 'string') {
    const detail = textFault(value);
    if (detail !== null) yield { path, detail };
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  if (path.length >= MOST_DEPTH) {
    yield { path, detail: `is nested too deeply: more than ${MOST_DEPTH} levels` };
    return;
  }
  for (const [name, member] of Object.entries(value)) {
    const detail = textFault(name);
    if (detail !== null) yield { path, detail: `has a name that ${detail}` };
    else yield* unstorable(member, [...path, Array.isArray(value) ? Number(name) : name]);
  }
}

function textFault(text: string): string | null {
  if (text.includes(NUL)) return 'must not contain a NUL character (\\u0000)';
  return text.isWellFormed() ? null : 'must not contain an unpaired surrogate (\\ud800–\\udfff)';
}
