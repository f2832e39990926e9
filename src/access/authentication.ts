import type { FastifyInstance, FastifyRequest } from 'fastify';
import type pg from 'pg';
import { type Role, roleAllows } from '../domain/api-keys.ts';
import { type Actor, type Audience, type Desks, PUBLIC_AUDIENCE } from '../domain/desks.ts';
import type { Analyst } from './analysts.ts';
import { type KeyFinder, touchKey } from './api-keys.ts';
import type { DeskFinder } from './desks.ts';
import type { IdentityFinder } from './identities.ts';
import type { AuditedCaller, RefusalTrail } from './audit-trail.ts';
import { credentialsOf } from '../http/credentials.ts';
import { HTML_TYPE, JSON_TYPE, ONLY_JSON, preferredType } from '../http/negotiation.ts';
import { Problem, unauthorized } from '../http/problems.ts';
import { needsKey, type RequestLimiter } from '../http/rate-limits.ts';
import type { TokenVerifier } from './tokens.ts';

/**
 * Who may use a route: anyone; anyone unless reads need a key; all keys; or keys of one role (and admins).
 * A key that a read sends is checked even where reads need none, because it may show more. Every route declares this in its
 * config.
 */
export type Access = 'public' | 'read' | 'key' | Role;
type Guard = Exclude<Access, 'public'>;

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
  }
  interface FastifyRequest {
    /** The authenticated caller; null if the route needs no authentication. */
    caller: Caller | null;
    /** What its response may show. */
    readonly audience: Audience;
  }
}

/** Who sent a request, by its key or token. */
export type Caller = {
  analyst: Analyst;
  role: Role;
  /** Identifies the key or token among all others. */
  id: string;
  /** A short name of the key or token, for people. It is not secret. */
  hint: string;
  /** All roles of the key or token, of which `role` is the one that the request uses. */
  roles: readonly Role[];
  /** The desks that it acts for. */
  desks: Desks;
  /** Null for a key. */
  token: { issuer: string; subject: string; expiresAt: Date } | null;
};

/** Gives every request its caller, none at first, and what its response may show. */
export function decorateRequests(app: FastifyInstance): void {
  app.decorateRequest('caller', null);
  app.decorateRequest('audience', {
    getter() {
      return this.caller === null ? PUBLIC_AUDIENCE : { hasKey: true, desks: this.caller.desks };
    },
  });
}

/** The accepted tokens of an identity provider, besides keys. */
export type Tokens = { issuer: string; verify: TokenVerifier };

/** The means to authenticate a caller. */
export type Authenticators = {
  pool: pg.Pool;
  findKey: KeyFinder;
  tokens: Tokens | null;
  findIdentity: IdentityFinder;
  findDesks: DeskFinder;
  now: () => Date;
};

/** Authenticates and authorizes requests by the `access` of their route, before their bodies are read. */
export function authorize(
  app: FastifyInstance,
  {
    requireKeyForReads,
    refusalTrail,
    ...authenticators
  }: Authenticators & { requireKeyForReads: boolean; refusalTrail: RefusalTrail },
  limiter: RequestLimiter,
): void {
  const acceptsTokens = authenticators.tokens !== null;
  app.addHook('onRoute', (route) => {
    if (!route.config?.access)
      throw new Error(`${String(route.method)} ${route.url} declares no access`);
  });
  app.addHook('onRequest', async (request, reply) => {
    const { access = 'public' } = request.routeOptions.config;
    if (access === 'public' || !needsKey(request, { requireKeyForReads, acceptsTokens })) return;
    try {
      request.caller = await authenticate(request, access, authenticators);
      await limiter.admitKey(request, reply, request.caller.id);
      requireRole(request.caller, access);
    } catch (error) {
      if (!(error instanceof Problem) || !isRefusal(error)) throw error;
      refusalTrail.add(request, error, refusedCaller(request, error));
      if (request.caller === null) await request.work?.takeTurn();
      throw error.code === 'unauthorized' && isBrowsed(request) ? askedByBrowser(error) : error;
    }
  });
}

/** A refusal of a caller whose key or token was recognised. The response does not name them. */
class KnownCallerRefused extends Problem {
  readonly caller: AuditedCaller;

  constructor({ code, message, headers }: Problem, caller: AuditedCaller) {
    super(code, message, { headers });
    this.caller = caller;
  }
}

function refusedCaller({ caller }: FastifyRequest, error: Problem): AuditedCaller | undefined {
  if (error instanceof KnownCallerRefused) return error.caller;
  return caller
    ? { analystId: caller.analyst.id, role: caller.role, credential: caller.id }
    : undefined;
}

/**
 * Whether a request is for something that a browser or a feed reader opens by itself: a page, a chart, a feed, a stream.
 * These can't set headers but can ask their user for a key. Scripts that read JSON must not cause such a dialog.
 */
function isBrowsed(request: FastifyRequest): boolean {
  const { access, serves = ONLY_JSON } = request.routeOptions.config;
  if (access !== 'read') return false;
  return (
    request.headers.accept?.includes(HTML_TYPE) || preferredType(request, serves) !== JSON_TYPE
  );
}

/** The problem with a header that makes a browser ask its user for a key. */
function askedByBrowser({ code, message, headers }: Problem): Problem {
  const basic = 'Basic realm="Outlook Ledger", charset="UTF-8"';
  return new Problem(code, message, {
    headers: { ...headers, 'www-authenticate': [headers['www-authenticate'] ?? '', basic].flat() },
  });
}

function isAllowed(role: Role, access: Guard): boolean {
  return access === 'read' || access === 'key' || roleAllows(role, access);
}

function requireRole(caller: Caller, access: Guard): void {
  if (isAllowed(caller.role, access)) return;
  throw new Problem(
    'forbidden',
    `This requires a key with the role ${access}${access === 'admin' ? '' : ' or admin'}; ${caller.hint} has the role ${caller.role}.`,
  );
}

function isRefusal({ code }: Problem): boolean {
  return code === 'unauthorized' || code === 'forbidden';
}

/**
 * Whether a long read may continue: its key may have expired or been revoked. One without a key always may.
 * @throws Error if that is unknown because the database or the identity provider is unavailable
 */
export async function isStillAllowed(
  request: FastifyRequest,
  authenticators: Authenticators,
): Promise<boolean> {
  if (request.caller === null) return true;
  try {
    await authenticate(request, 'read', authenticators);
    return true;
  } catch (error) {
    if (error instanceof Problem) return false;
    throw error;
  }
}

/** The analyst who sent a request to a route that requires a role. */
export function authorOf(request: FastifyRequest): Analyst {
  if (!request.caller)
    throw new Error('a route that needs an author must declare a role as its access');
  return request.caller.analyst;
}

/** The analyst who sent a request to a route that requires a role, and the desks that they act for. */
export function actorOf(request: FastifyRequest): Actor {
  const { analyst, desks } = callerOf(request);
  return { analyst, desks };
}

/** Who sent a request to a route that all keys may use. */
export function callerOf(request: FastifyRequest): Caller {
  if (!request.caller) throw new Error('a route that needs a caller must declare its access');
  return request.caller;
}

/** @param access the access that the request needs; if a token has several roles, one that allows it is used */
async function authenticate(
  request: FastifyRequest,
  access: Guard,
  authenticators: Authenticators,
): Promise<Caller> {
  const { authorization } = request.headers;
  const { key, token } = credentialsOf(authorization, { isRead: access === 'read' });
  if (key !== undefined) return byKey(request, key, authenticators);
  const { tokens } = authenticators;
  if (token !== undefined && tokens !== null) {
    return byToken(token, access, { ...authenticators, tokens });
  }
  if (authorization === undefined) {
    throw unauthorized('No key was sent. Send it as Authorization: Bearer olk_….');
  }
  const either = tokens ? `, or a token from ${tokens.issuer}` : '';
  throw unauthorized(
    `The Authorization header must be "Bearer", a space and a key (olk_…)${either}.`,
  );
}

async function byKey(
  request: FastifyRequest,
  sent: string,
  { pool, findKey, now }: Authenticators,
): Promise<Caller> {
  const at = now();
  const found = await findKey(sent, at);
  if (!found) throw unauthorized('The key is unknown.');
  const { key, state } = found;
  if (state !== 'active') {
    const reasons = {
      deactivated: 'belongs to an analyst who is deactivated; an admin can reactivate them',
      expired: `expired at ${key.expiresAt?.toISOString()}`,
      revoked: 'was revoked',
    };
    const reason = reasons[state];
    throw new KnownCallerRefused(unauthorized(`The key ${key.hint}… ${reason}.`), {
      analystId: key.analyst.id,
      role: key.role,
      credential: key.id,
    });
  }
  // A failure here must not fail the request.
  await touchKey(pool, key, at).catch((error: unknown) =>
    request.log.warn({ reqId: request.id, err: error }, 'could not record the use of a key'),
  );
  const { id, analyst, role, desks, hint } = key;
  return { id, analyst, role, hint: `${hint}…`, roles: [role], desks, token: null };
}

async function byToken(
  token: string,
  access: Guard,
  { now, findIdentity, findDesks, tokens: { issuer, verify } }: Authenticators & { tokens: Tokens },
): Promise<Caller> {
  const at = now();
  const { subject, name, roles, desks, expiresAt } = await verify(token, at);
  const role = roles.find((held) => isAllowed(held, access)) ?? roles[0];
  if (role === undefined) {
    const detail = `The token of ${subject} grants no role in this service.`;
    throw new KnownCallerRefused(new Problem('forbidden', detail), {
      analystId: null,
      role: null,
      credential: `${issuer} ${subject}`,
    });
  }
  const { isDeactivated, ...analyst } = await findIdentity({ issuer, subject, name }, at);
  if (isDeactivated) {
    const detail = `The analyst ${analyst.name} is deactivated; an admin can reactivate them.`;
    throw new KnownCallerRefused(new Problem('forbidden', detail), {
      analystId: analyst.id,
      role,
      credential: `${issuer} ${subject}`,
    });
  }
  return {
    id: `${issuer} ${subject}`,
    analyst,
    role,
    hint: analyst.name,
    roles: [...new Set(roles)],
    desks: desks === 'all' || roles.includes('admin') ? 'all' : await findDesks(desks),
    token: { issuer, subject, expiresAt },
  };
}
