import { z } from 'zod';
import { COSIGNATURE, parseVkey } from './domain/signed-note.ts';
import type { WitnessSettings } from './log/witnesses.ts';

/** The most witnesses that one log has. */
const MOST_WITNESSES = 16;

/** The settings of the transparency log that name others, as environment variables. */
export const LOG_ENVIRONMENT = {
  LOG_WITNESSES: z
    .string()
    .default('')
    .transform((text, context) => {
      const entries = text.split(',').map((entry) => entry.trim());
      const witnesses = entries.filter((entry) => entry !== '').map(parseWitness);
      for (const witness of witnesses) {
        if (typeof witness === 'string') context.addIssue(witness);
      }
      const named = witnesses.filter((witness) => typeof witness !== 'string');
      const names = new Set(named.map(({ name }) => name));
      if (names.size < named.length) context.addIssue('must name each witness once');
      if (named.length > MOST_WITNESSES) {
        context.addIssue(`must name at most ${MOST_WITNESSES} witnesses`);
      }
      return named;
    }),
};

/** @returns the witness of an entry, or what is wrong with it */
function parseWitness(entry: string): WitnessSettings | string {
  const [vkey = '', url = '', ...rest] = entry.split(/\s+/);
  const shown = JSON.stringify(entry.slice(0, 200));
  const key = parseVkey(vkey);
  if (key?.type !== COSIGNATURE || rest.length > 0) {
    return `must be pairs of a witness's verifier key and its URL, such as witness.example/w1+13ba35eb+BC0t… https://witness.example, separated by commas; ${shown} is none`;
  }
  if (!isPrefix(url)) {
    return `must give an http or https URL without a user, a query or a fragment for ${key.name}`;
  }
  return { name: key.name, vkey, key, url: new URL(`${url.replace(/\/$/, '')}/add-checkpoint`) };
}

function isPrefix(text: string): boolean {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username === '' && password === '' && !/[?#]/.test(text);
}
