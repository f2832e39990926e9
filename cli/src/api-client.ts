import { type Client, createClient } from '@outlook-ledger/client';
import { UsageError } from './errors.ts';
import { findKey } from './key-file.ts';
import { send } from './requests.ts';

/** The service that a command is for. */
export type Service = { client: Client; url: string; key: string | undefined };

/**
 * The service at a base URL, and the key for it.
 * @throws UsageError for what is no URL of a service, or where the key would travel in clear
 */
export function serviceAt(url: string): Service {
  const base = baseOf(url);
  const key = findKey();
  if (key !== undefined && base.protocol === 'http:' && !isLoopback(base.hostname)) {
    throw new UsageError(
      `The key is not sent to ${base.origin}, as anyone on the way could read it: use https, or a tunnel to this machine.`,
    );
  }
  const baseUrl = base.href.replace(/\/$/, '');
  return { client: createClient({ baseUrl, key, fetch: send }), url: baseUrl, key };
}

function baseOf(url: string): URL {
  const base = URL.canParse(url) ? new URL(url) : null;
  const isPlain = base && !base.username && !base.password && !base.search && !base.hash;
  if (isPlain && /^https?:$/.test(base.protocol)) return base;
  throw new UsageError(
    'The URL of the service (--url, OUTLOOK_URL) must be one such as https://ledger.example, without a user or a query.',
  );
}

function isLoopback(hostname: string): boolean {
  return ['localhost', '[::1]'].includes(hostname) || /^127\.[\d.]+$/.test(hostname);
}
