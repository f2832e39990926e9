import { type Client, createClient } from '@outlook-ledger/client';
import { UsageError } from './errors.ts';
import { findKey } from './key-file.ts';
import { fetchWithRetries } from './requests.ts';

/**
 * A client of the service at a base URL, with the user's key.
 * @throws UsageError if the URL can't be that of a service, or the key would be sent unencrypted
 */
export function apiClient(url: string): Client {
  const base = parseBaseUrl(url);
  const key = findKey();
  if (key !== undefined && base.protocol === 'http:' && !isLoopback(base.hostname)) {
    throw new UsageError(
      `The key was not sent to ${base.origin}, because others could read it on the way. Use https, or an SSH tunnel to localhost.`,
    );
  }
  return createClient({ baseUrl: base.href.replace(/\/$/, ''), key, fetch: fetchWithRetries });
}

function parseBaseUrl(url: string): URL {
  const base = URL.canParse(url) ? new URL(url) : null;
  const isBare = base && !base.username && !base.password && !base.search && !base.hash;
  if (isBare && /^https?:$/.test(base.protocol)) return base;
  throw new UsageError(
    'The URL of the service (--url or OUTLOOK_URL) must look like https://ledger.example, without a user, query or fragment.',
  );
}

function isLoopback(hostname: string): boolean {
  return ['localhost', '[::1]'].includes(hostname) || /^127\.[\d.]+$/.test(hostname);
}
