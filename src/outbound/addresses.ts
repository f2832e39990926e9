import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Looks up all addresses of a name. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

/** Asks the resolver of this machine. */
export const resolveName: Resolve = (hostname) => lookup(hostname, { all: true });

/** Which addresses the service may connect to on behalf of a client. */
export type AddressPolicy = {
  resolve: Resolve;
  /** Whether addresses in private networks are allowed, also over plain http. */
  allowsPrivate: boolean;
};

/** The service may not connect to this URL. The message says why, to the person who entered it. */
export class AddressRefused extends Error {}

// Without link-local addresses: there clouds serve a machine's credentials.
const PRIVATE_RANGES = new Set(['loopback', 'private', 'uniqueLocal', 'carrierGradeNat']);

/**
 * The addresses of a server, all of them allowed. Connect to these and look none up again: the name may resolve to others
 * next time.
 * @throws AddressRefused if one address is not allowed, or whatever `resolve` throws
 */
export async function addressesOf(
  url: URL,
  { resolve, allowsPrivate }: AddressPolicy,
): Promise<readonly LookupAddress[]> {
  const isPlain = url.protocol === 'http:';
  if (isPlain && !allowsPrivate) throw new AddressRefused('must be an https URL');
  // The URL parser has normalised every spelling of IPv4 to four numbers.
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const family = isIP(host);
  const addresses = family === 0 ? await resolve(host) : [{ address: host, family }];
  for (const { address } of addresses) {
    const range = rangeOf(address);
    if (range === 'unicast' ? !isPlain : allowsPrivate && PRIVATE_RANGES.has(range)) continue;
    const which = family === 0 ? `${host} is ${address}, which is` : `${address} is`;
    throw new AddressRefused(
      range === 'unicast'
        ? `must be an https URL, because ${which} a public address`
        : `must point to a public address; ${which} not public (${range})`,
    );
  }
  return addresses;
}

/** How long a look-up of a name is waited for before its URL is stored, in milliseconds. */
const LOOK_UP_WITHIN = 2_000;

/**
 * Why the service may not connect to a URL; follows the name of the URL. Null if it may, or if the host can't be looked up
 * now: it is looked up anew at each connection.
 */
export async function addressFault(url: URL, policy: AddressPolicy): Promise<string | null> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error('late')), LOOK_UP_WITHIN).unref();
  });
  try {
    await Promise.race([addressesOf(url, policy), late]);
    return null;
  } catch (error) {
    return error instanceof AddressRefused ? error.message : null;
  }
}

// All assigned addresses. Outside are notations of IPv4 addresses that the library takes for ordinary ones.
const GLOBAL_UNICAST = ipaddr.parseCIDR('2000::/3') as [ipaddr.IPv6, number];

/** The range of an address, `unicast` if it is public. IPv4 addresses in IPv6 notation have ranges of their own. */
function rangeOf(address: string): string {
  if (isIP(address) === 0) return 'unknown';
  const parsed = ipaddr.parse(address);
  const range = parsed.range();
  const isUnassigned = parsed instanceof ipaddr.IPv6 && !parsed.match(GLOBAL_UNICAST);
  return range === 'unicast' && isUnassigned ? 'unassigned' : range;
}
