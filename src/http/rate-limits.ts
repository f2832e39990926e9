import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { meterWork } from '../postgres/work-meter.ts';
import { addressOf, type Client, type ClientKind, Clients } from './clients.ts';
import { sendsCredentials } from './credentials.ts';
import { FairQueue } from './fair-queue.ts';
import { Problem } from './problems.ts';
import { isStream, LONGEST_WAIT, RequestWork, type SharedState } from './request-work.ts';
import { whenFinished } from './when-finished.ts';
import { WorkEstimates } from './work-budget.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route has no limits, as health checks must not. */
    isUnlimited?: boolean;
    /** Whether requests to the route are not counted, and limited only by their work. */
    isUncounted?: boolean;
  }
  interface FastifyRequest {
    /** What its client has left, one value for each limit that was checked. */
    limits: { policies: string[]; states: string[] };
    /** The work that it causes; null for a route without limits. */
    work: RequestWork | null;
  }
}

type Limits = {
  /** Requests a minute, 0 for no limit. */
  rateLimitPerAddress: number;
  rateLimitPerKey: number;
  /** Milliseconds of work a second, 0 for no limit. */
  workPerAddress: number;
  workPerKey: number;
  /** How many requests are handled at once. */
  requestsAtOnce: number;
  requireKeyForReads: boolean;
  /** The identity provider whose tokens are accepted; null if there is none. */
  oidc: object | null;
};

/** The window of the rates, in milliseconds. */
const WINDOW = 60_000;
/** How many requests of clients beyond their budgets run at once. */
const BEYOND_BUDGET_AT_ONCE = 2;
/** How long such a request may keep others from starting, in milliseconds. */
const LONGEST_TURN = 1_000;

/**
 * Limits the requests to this instance: by number and by the work that they cause, for each address and each key, and in
 * progress in total. Cached responses are sent before any limit, because that costs less than a refusal.
 */
export class RequestLimiter {
  readonly #limits: Limits;
  readonly #clients: Clients;
  readonly #shared: SharedState;

  constructor(limits: Limits) {
    this.#limits = limits;
    this.#clients = new Clients({
      address: { requests: limits.rateLimitPerAddress, work: limits.workPerAddress },
      key: { requests: limits.rateLimitPerKey, work: limits.workPerKey },
    });
    const mostWaiting = limits.requestsAtOnce;
    const bounds = {
      atOnce: BEYOND_BUDGET_AT_ONCE,
      mostWaiting,
      mostWaitingPerClient: Math.ceil(mostWaiting / 2),
      longestWait: LONGEST_WAIT,
      longestTurn: LONGEST_TURN,
    };
    const queue = new FairQueue<Client>(bounds, ({ work }) => work.level < 1);
    this.#shared = { queue, estimates: new WorkEstimates(), done: 0 };
  }

  /** The work of all requests so far, in seconds. */
  get workSeconds(): number {
    return this.#shared.done / 1000;
  }

  /** How many requests wait for their turn, because their clients are beyond their budgets. */
  get waiting(): number {
    return this.#shared.queue.size;
  }

  /** Meters the work of every request. Hooks that are registered before this cost the client nothing. */
  meter(app: FastifyInstance): void {
    app.decorateRequest('limits');
    app.decorateRequest('work', null);
    app.addHook('onRequest', (request, reply, done) => {
      request.limits = { policies: [], states: [] };
      if (request.routeOptions.config.isUnlimited) return done();
      const client = this.#clients.of('address', addressOf(request));
      const work = new RequestWork(request, client, this.#shared);
      request.work = work;
      whenFinished(request, reply, () => work.finish());
      meterWork(work, done);
    });
    // The CORS plugin answers preflight requests before `limit` sees them.
    app.addHook('onRequest', async (request, reply) => {
      if (isPreflight(request)) this.#count(request, reply);
    });
    // Node.js reads a body in the context of its connection, not in that of its request.
    app.addHook('preValidation', (request, _reply, done) => {
      if (request.work === null || request.body === undefined) done();
      else meterWork(request.work, done);
    });
  }

  /** Limits the requests whose work is metered. */
  limit(app: FastifyInstance): void {
    const { requireKeyForReads, oidc } = this.#limits;
    const reads = { requireKeyForReads, acceptsTokens: oidc !== null };
    app.addHook('onRequest', async (request, reply) => {
      if (request.work === null) return;
      this.#count(request, reply);
      if (!needsKey(request, reads)) await request.work.takeTurn();
    });
    this.#limitWorkAtOnce(app);
  }

  /** Counts a request against the limits of its key instead of those of its address. */
  async admitKey(request: FastifyRequest, reply: FastifyReply, id: string): Promise<void> {
    const { work } = request;
    if (work === null) return;
    work.client = this.#clients.of('key', id);
    this.#count(request, reply);
    // A body is read first, so that a client that sends it slowly takes no turn.
    if (!hasBody(request)) await work.takeTurn();
  }

  #count(request: FastifyRequest, reply: FastifyReply): void {
    const client = request.work?.client;
    const max = client && this.#requestsOf(client.kind);
    if (!client || !max || request.routeOptions.config.isUncounted) return;
    const now = Date.now();
    if (client.windowEnds <= now) Object.assign(client, { requests: 0, windowEnds: now + WINDOW });
    client.requests += 1;
    const remaining = Math.max(0, max - client.requests);
    const seconds = Math.ceil((client.windowEnds - now) / 1000);
    const { policies, states } = request.limits;
    policies.push(`"${client.kind}";q=${max};w=${WINDOW / 1000}`);
    states.push(`"${client.kind}";r=${remaining};t=${seconds}`);
    const fields = limitFields(request);
    for (let at = 0; at < fields.length; at += 2) reply.header(fields[at] ?? '', fields[at + 1]);
    if (client.requests <= max) return;
    throw new Problem(
      'rate-limited',
      `Your ${client.kind} has sent more than ${max} requests within a minute; try again in ${seconds} s.`,
      { headers: { 'retry-after': String(seconds) } },
    );
  }

  #requestsOf(kind: ClientKind): number {
    return kind === 'key' ? this.#limits.rateLimitPerKey : this.#limits.rateLimitPerAddress;
  }

  /** Refuses requests above the number that is handled at once, of which one address may use half. */
  #limitWorkAtOnce(app: FastifyInstance): void {
    const most = this.#limits.requestsAtOnce;
    const perAddress = new Map<string, number>();
    let atWork = 0;
    // After the body was read, so that a client that sends it slowly takes no slot; before anything asks the database.
    app.addHook('preValidation', async (request, reply) => {
      const { work } = request;
      if (work === null) return;
      await work.takeTurn();
      // Streams have a limit of their own.
      if (isStream(request) || request.routeOptions.config.isUncounted) return;
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
}

/** The header fields with the limits and what is left of them (draft-ietf-httpapi-ratelimit-headers-10). */
export function limitFields({ limits: { policies, states } }: FastifyRequest): string[] {
  if (policies.length === 0) return [];
  return ['ratelimit-policy', policies.join(', '), 'ratelimit', states.join(', ')];
}

/** Whether a request has to be authenticated before it is answered. A read that needs no key is, if it sends one. */
export function needsKey(
  { headers, routeOptions: { config } }: FastifyRequest,
  reads: { requireKeyForReads: boolean; acceptsTokens: boolean },
): boolean {
  const { access = 'public' } = config;
  if (access !== 'read') return access !== 'public';
  return reads.requireKeyForReads || sendsCredentials(headers.authorization, reads);
}

const isPreflight = ({ method, headers }: FastifyRequest) =>
  method === 'OPTIONS' && headers['access-control-request-method'] !== undefined;

function hasBody({ headers }: FastifyRequest): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}
