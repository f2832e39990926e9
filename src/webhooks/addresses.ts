import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** All addresses of a name. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

/** As whatever else on this machine does. */
export const resolveName: Resolve = (hostname) => lookup(hostname, { all: true });

/** Where the service may send to, and how it finds that out. */
export type Reach = {
  resolve: Resolve;
  /** Whether addresses of one's own network are allowed, and plain http to them. */
  allowsPrivate: boolean;
};

/** A receiver at which nothing may be sent. The message is for whoever gave its URL. */
export class AddressRefused extends Error {}

// Not the link-local ones: there clouds tell a machine's credentials.
const OWN_NETWORK = new Set(['loopback', 'private', 'uniqueLocal', 'carrierGradeNat']);

/**
 * The addresses of a receiver, each of which may be connected to. Connect to these and ask for no others: a name may
 * resolve to something else the next time.
 * @throws AddressRefused where one of them may not, and whatever `resolve` throws
 */
export async function addressesOf(
  url: URL,
  { resolve, allowsPrivate }: Reach,
): Promise<readonly LookupAddress[]> {
  const isPlain = url.protocol === 'http:';
  if (isPlain && !allowsPrivate) throw new AddressRefused('must be an https URL');
  // The URL parser has brought IPv4 in any spelling to four numbers.
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const family = isIP(host);
  const addresses = family === 0 ? await resolve(host) : [{ address: host, family }];
  for (const { address } of addresses) {
    const range = rangeOf(address);
    if (range === 'unicast' ? !isPlain : allowsPrivate && OWN_NETWORK.has(range)) continue;
    const which = family === 0 ? `${host} is ${address}, which is` : `${address} is`;
    throw new AddressRefused(
      range === 'unicast'
        ? `must be an https URL, because ${which} a public address`
        : `must point to a public address; ${which} not public (${range})`,
    );
  }
  return addresses;
}

// All that is assigned to anyone; outside are forms of IPv4 addresses that the library takes for addresses like others.
const GLOBAL_UNICAST = ipaddr.parseCIDR('2000::/3') as [ipaddr.IPv6, number];

/** `unicast` for a public address. Those that stand for an IPv4 address in IPv6 have ranges of their own. */
function rangeOf(address: string): string {
  if (isIP(address) === 0) return 'unknown';
  const parsed = ipaddr.parse(address);
  const range = parsed.range();
  const isUnassigned = parsed instanceof ipaddr.IPv6 && !parsed.match(GLOBAL_UNICAST);
  return range === 'unicast' && isUnassigned ? 'unassigned' : range;
}
