import rateLimit, { normalizeIP } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { EVENT_STREAM_TYPE } from './negotiation.ts';
import { Problem } from './problems.ts';
import { whenFinished } from './when-finished.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route has no limits, as health checks must not. */
    isUnlimited?: boolean;
  }
  interface FastifyRequest {
    /** What its client has left, one value for each limit that was checked. */
    limits: { policies: string[]; states: string[] };
  }
}

/** How many requests a minute are accepted, 0 for no limit, and how many are handled at once. */
type Limits = { rateLimitPerAddress: number; rateLimitPerKey: number; requestsAtOnce: number };

/** The window of the rates, in milliseconds. */
const WINDOW = 60_000;

/**
 * The address whose requests are counted together. For IPv6 it is the /64 network, because a single client usually has
 * all of it.
 */
export function addressOf({ ip }: FastifyRequest): string {
  return normalizeIP(ip, 64);
}

/**
 * Limits the requests to this instance, by address and in total. Cached responses are sent before any limit, because that
 * costs less than a refusal.
 * @returns a function that counts a request against the limit of its key
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
    if (counted.isAllowed) return; // only for the types: there is no allow list
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

/** The header fields with the limits and what is left of them (draft-ietf-httpapi-ratelimit-headers-10). */
export function limitFields({ limits: { policies, states } }: FastifyRequest): string[] {
  if (policies.length === 0) return [];
  return ['ratelimit-policy', policies.join(', '), 'ratelimit', states.join(', ')];
}

/** Refuses requests above the number that is handled at once, of which one address may use half. */
function limitWorkAtOnce(app: FastifyInstance, most: number): void {
  const perAddress = new Map<string, number>();
  let atWork = 0;
  // After the body was read, so that a client that sends it slowly takes no place.
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
    whenFinished(request, reply, () => {
      atWork -= 1;
      const left = (perAddress.get(address) ?? 1) - 1;
      if (left === 0) perAddress.delete(address);
      else perAddress.set(address, left);
    });
  });
}
