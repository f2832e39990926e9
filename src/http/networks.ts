import { BlockList, isIP, isIPv6 } from 'node:net';
import type { FastifyRequest } from 'fastify';

/** The names that TRUSTED_PROXIES and METRICS_ADDRESSES take for networks. */
const NAMED: Record<string, readonly string[]> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/** Whether a text is an address, a network such as 10.0.0.0/8, or a name such as `loopback`. */
export function isNetwork(text: string): boolean {
  if (Object.hasOwn(NAMED, text)) return true;
  const [address = '', bits, ...more] = text.split('/');
  const version = isIP(address);
  if (version === 0 || more.length > 0) return false;
  return (
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128))
  );
}

/**
 * The networks as a list to check addresses against.
 * @param networks texts that {@link isNetwork} accepts
 */
export function networkList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks.flatMap((one) => NAMED[one] ?? [one])) {
    const [address = '', bits] = network.split('/');
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}

// What proxies add to the requests that they pass on.
const FORWARDED =
  /^(forwarded|via|(x-)?(forwarded|original-forwarded|real|client|cluster-client)-.+|(true|cf-connecting|fastly)-.*ip|x-envoy-.+)$/;

/**
 * Whether a request comes from a network of the list. If proxies passed it on, the client's address counts, and each of them
 * has to be trusted: behind another proxy, the client may be anyone.
 */
export function comesFrom(list: BlockList, { ip, ips, headers }: FastifyRequest): boolean {
  if (!isIP(ip) || !list.check(ip, isIPv6(ip) ? 'ipv6' : 'ipv4')) return false;
  if (!Object.keys(headers).some((name) => FORWARDED.test(name))) return true;
  const [sent = ''] = [headers['x-forwarded-for']].flat();
  // The first address is the peer's own; each further one was taken from the header of a trusted proxy.
  return sent !== '' && sent.split(',').length === (ips?.length ?? 0) - 1;
}
