import rateLimit, { normalizeIP } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { EVENT_STREAM_TYPE } from './negotiation.ts';
import { Problem } from './problems.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route is answered whatever its client, or the service, is busy with. */
    isUnlimited?: boolean;
  }
  interface FastifyRequest {
    /** What its client may still ask for, a value for each limit that was looked at. */
    limits: { policies: string[]; states: string[] };
  }
}

/** How many requests a minute are taken, 0 for any number, and how many may be at work at once. */
type Limits = { rateLimitPerAddress: number; rateLimitPerKey: number; requestsAtOnce: number };

/** The window of the rates, in milliseconds. */
const WINDOW = 60_000;

/**
 * Whose requests are counted together: an address, or an IPv6 network of 64 bits, as that is what a single
 * client has.
 */
export function addressOf({ ip }: FastifyRequest): string {
  return normalizeIP(ip, 64);
}

/**
 * Bounds what clients may ask of this instance, by their addresses and altogether. What is kept in memory is
 * answered before, as that costs less than refusing it.
 * @returns what counts a request for the key that opened it
 */
export async function limitRequests(
  app: FastifyInstance,
  limits: Limits,
): Promise<(request: FastifyRequest, reply: FastifyReply) => Promise<void>> {
  app.decorateRequest('limits');
  await app.register(rateLimit, { global: false, timeWindow: WINDOW });
  const countAddress = counter(app, 'address', limits.rateLimitPerAddress, addressOf);
  app.addHook('onRequest', async (request, reply) => {
    request.limits = { policies: [], states: [] };
    if (!request.routeOptions.config.isUnlimited) await countAddress(request, reply);
  });
  limitWorkAtOnce(app, limits.requestsAtOnce);
  return counter(app, 'key', limits.rateLimitPerKey, (request) => request.caller?.id ?? '');
}

function counter(
  app: FastifyInstance,
  name: 'address' | 'key',
  max: number,
  keyGenerator: (request: FastifyRequest) => string,
) {
  if (max === 0) return async () => {};
  const count = app.createRateLimit({ max, timeWindow: WINDOW, keyGenerator });
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const counted = await count(request);
    if (counted.isAllowed) return; // an allow list, which there is none of
    const { policies, states } = request.limits;
    policies.push(`"${name}";q=${max};w=${WINDOW / 1000}`);
    states.push(`"${name}";r=${counted.remaining};t=${counted.ttlInSeconds}`);
    const fields = limitFields(request);
    for (let at = 0; at < fields.length; at += 2) reply.header(fields[at] ?? '', fields[at + 1]);
    if (!counted.isExceeded) return;
    throw new Problem(
      'rate-limited',
      `Your ${name} has sent more than ${max} requests within a minute; try again in ${counted.ttlInSeconds} s.`,
      { headers: { 'retry-after': String(counted.ttlInSeconds) } },
    );
  };
}

/** The header fields that tell a client what it may still ask for (draft-ietf-httpapi-ratelimit-headers-10). */
export function limitFields({ limits: { policies, states } }: FastifyRequest): string[] {
  if (policies.length === 0) return [];
  return ['ratelimit-policy', policies.join(', '), 'ratelimit', states.join(', ')];
}

/** Refuses what would only wait for what is at work already; one address may have half of that. */
function limitWorkAtOnce(app: FastifyInstance, most: number): void {
  const perAddress = new Map<string, number>();
  let atWork = 0;
  // Behind the body, so that a client that sends it slowly holds up nobody.
  app.addHook('preHandler', async (request, reply) => {
    const { isUnlimited, serves } = request.routeOptions.config;
    // Streams have a limit of their own.
    if (isUnlimited || serves?.includes(EVENT_STREAM_TYPE)) return;
    const address = addressOf(request);
    const ofAddress = perAddress.get(address) ?? 0;
    const headers = { 'retry-after': '1' };
    if (ofAddress >= Math.ceil(most / 2)) {
      const detail = `Your address has ${ofAddress} requests in progress; wait for responses before you send more.`;
      throw new Problem('rate-limited', detail, { headers });
    }
    if (atWork >= most) {
      throw new Problem('overloaded', 'The service is handling as many requests as it can.', {
        headers,
      });
    }
    atWork += 1;
    perAddress.set(address, ofAddress + 1);
    reply.raw.once('close', () => {
      atWork -= 1;
      const left = (perAddress.get(address) ?? 1) - 1;
      if (left === 0) perAddress.delete(address);
      else perAddress.set(address, left);
    });
  });
}
