import { z } from 'zod';
import type { PullSettings } from './pulls/puller.ts';

// A mirror or a proxy may have a path of its own.
const providerUrl = z.string().refine(isPlainUrl, {
  error: 'must be an http or https URL without a user, a query or a slash at its end',
});

function isPlainUrl(text: string): boolean {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text) || text.endsWith('/')) return false;
  const { username, password, search, hash } = new URL(text);
  return [username, password, search, hash].every((part) => part === '');
}

/** The settings of the providers, as environment variables. */
export const PROVIDER_ENVIRONMENT = {
  FRED_API_KEY: z
    .string()
    .regex(/^[\w-]{16,128}$/, {
      error: 'must be a key of FRED: 16 to 128 letters, digits, _ or -, usually 32',
    })
    .optional(),
  FRED_URL: providerUrl.default('https://api.stlouisfed.org'),
  ECB_URL: providerUrl.default('https://data-api.ecb.europa.eu'),
  STOOQ_URL: providerUrl.default('https://stooq.com'),
};

export function pullSettingsOf(settings: {
  PULL_SERIES: 'true' | 'false';
  PULL_PRIVATE_ORIGINS: readonly string[];
  FRED_API_KEY?: string | undefined;
  FRED_URL: string;
  ECB_URL: string;
  STOOQ_URL: string;
}): PullSettings {
  return {
    isOn: settings.PULL_SERIES === 'true',
    privateOrigins: settings.PULL_PRIVATE_ORIGINS,
    fredApiKey: settings.FRED_API_KEY ?? null,
    fredUrl: settings.FRED_URL,
    ecbUrl: settings.ECB_URL,
    stooqUrl: settings.STOOQ_URL,
  };
}
