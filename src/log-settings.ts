import path from 'node:path';
import { z } from 'zod';

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
};

export type LogSettings = {
  /** The public host of the service, with its port if it has one: origins start with it. Null if there is none. */
  host: string | null;
  /** The files of the keys that sign checkpoints, the current one first. Empty if this process does not sign. */
  keyFiles: readonly string[];
  /** Whether the service makes the key at its first start. */
  makesKey: boolean;
};

export function logSettingsOf(settings: {
  PUBLIC_URL?: string | undefined;
  DATABASE_URL?: string | undefined;
  DATA_DIR: string;
  LOG_SIGNING_KEY: readonly string[];
}): LogSettings {
  const { PUBLIC_URL: url, DATABASE_URL: databaseUrl, LOG_SIGNING_KEY: files } = settings;
  const makesKey = databaseUrl === undefined && files.length === 0;
  return {
    host: url === undefined ? null : new URL(url).host,
    keyFiles: makesKey ? [path.join(settings.DATA_DIR, 'log-signing-key.pem')] : files,
    makesKey,
  };
}
