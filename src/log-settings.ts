import path from 'node:path';
import { z } from 'zod';
import { COSIGNATURE, parseVkey } from './domain/signed-note.ts';
import type { WitnessSettings } from './log/witnesses.ts';

/** The most witnesses that one log has. */
const MOST_WITNESSES = 16;

/** The settings of the transparency log, as environment variables. */
export const LOG_ENVIRONMENT = {
  LOG_SIGNING_KEY: z
    .string()
    .default('')
    .transform((text) => text.split(',').map((file) => file.trim()))
    .transform((files) => files.filter((file) => file !== ''))
    .refine((files) => files.length <= 2 && new Set(files).size === files.length, {
      error:
        'must be the file of a key, or of two keys, separated by a comma, while the first replaces the second',
    }),
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

export type LogSettings = {
  /** The public host of the service, with its port if it has one: origins start with it. Null if there is none. */
  host: string | null;
  /** The files of the keys that sign checkpoints, the current one first. Empty if this process does not sign. */
  keyFiles: readonly string[];
  /** Whether the service makes the key at its first start. */
  makesKey: boolean;
  /** The witnesses that cosign its checkpoints. */
  witnesses: readonly WitnessSettings[];
};

/** What the settings say of the log. With the embedded database and no LOG_SIGNING_KEY, the key is in the data folder. */
export function logSettingsOf(settings: {
  PUBLIC_URL?: string | undefined;
  DATABASE_URL?: string | undefined;
  DATA_DIR: string;
  LOG_SIGNING_KEY: readonly string[];
  LOG_WITNESSES: readonly WitnessSettings[];
}): LogSettings {
  const { PUBLIC_URL: url, DATABASE_URL: databaseUrl, LOG_SIGNING_KEY: files } = settings;
  const makesKey = databaseUrl === undefined && files.length === 0;
  return {
    host: url === undefined ? null : new URL(url).host,
    keyFiles: makesKey ? [path.join(settings.DATA_DIR, 'log-signing-key.pem')] : files,
    makesKey,
    witnesses: settings.LOG_WITNESSES,
  };
}

/** @returns the witness of an entry, or what is wrong with it */
function parseWitness(entry: string): WitnessSettings | string {
  const [vkey = '', url = '', ...rest] = entry.split(/\s+/);
  const shown = JSON.stringify(entry.slice(0, 200));
  const key = parseVkey(vkey);
  if (key?.type !== COSIGNATURE || rest.length > 0) {
    return `must be pairs of a witness's verifier key and its URL, such as witness.example/w1+13ba35eb+BC0t… https://witness.example, separated by commas; ${shown} is not such a pair`;
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
