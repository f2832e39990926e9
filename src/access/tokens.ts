import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';
import type { Role } from '../domain/api-keys.ts';
import { cleanedName } from '../domain/names.ts';
import { analystLine, slug } from '../http/fields.ts';
import { Problem, unauthorized } from '../http/problems.ts';
import { ALL, MOST_DESKS } from './desks.ts';

/** The accepted issuer of tokens, and what its tokens must contain. */
export type Issuer = {
  issuer: string;
  audience: string;
  /** The only accepted signature algorithm, whatever a token's header says. */
  algorithm: string;
  /** The URL of its keys; null to read it from the discovery document. */
  jwksUrl: string | null;
  /** The claim that lists roles; `roles` maps them to ours. */
  rolesClaim: string;
  roles: Readonly<Record<string, Role>>;
  /** The claim that lists the slugs of desks, or `*`; null if tokens act for all desks. */
  desksClaim: string | null;
};

/** The holder of a valid token. */
export type TokenHolder = {
  subject: string;
  name: string;
  roles: Role[];
  /** The slugs of desks, also of unknown ones. */
  desks: 'all' | readonly string[];
  expiresAt: Date;
};

export type TokenVerifier = (token: string, now: Date) => Promise<TokenHolder>;

/** How far the issuer's clock may differ from ours, in seconds. */
const CLOCK_TOLERANCE = 30;
/** How long an issuer may take to answer, in milliseconds. */
const ANSWER_WITHIN = 5_000;
const subjectText = z.string().max(255).pipe(analystLine);

/**
 * Verifies tokens (JWT, RFC 7519) of an OpenID Connect issuer with the keys that it publishes. They are fetched when they
 * are first needed, and again if a token names an unknown one.
 * @throws Problem `unauthorized` for a token that is malformed, expired or for another service; `unavailable` if the
 *   issuer's keys can't be fetched
 */
export function tokenVerifier(settings: Issuer): TokenVerifier {
  const { issuer, audience, algorithm } = settings;
  let keys: Promise<JWTVerifyGetKey> | null = null;
  const findKeys = () => {
    keys ??= keysOf(settings).catch((error: unknown) => {
      keys = null; // so that the next token tries again
      throw error;
    });
    return keys;
  };
  return async (token, now) => {
    try {
      const { payload } = await jwtVerify(token, await findKeys(), {
        issuer,
        audience,
        algorithms: [algorithm],
        requiredClaims: ['exp', 'sub'],
        clockTolerance: CLOCK_TOLERANCE,
        currentDate: now,
      });
      return holderOf(payload, settings);
    } catch (error) {
      throw problemOf(error);
    }
  };
}

async function keysOf({ issuer, jwksUrl }: Issuer): Promise<JWTVerifyGetKey> {
  const url = jwksUrl ?? (await discovered(issuer));
  return createRemoteJWKSet(new URL(url), { timeoutDuration: ANSWER_WITHIN });
}

const discovery = z.object({ issuer: z.string(), jwks_uri: z.url() });

/** The URL of an issuer's keys, by OpenID Connect Discovery 1.0. */
async function discovered(issuer: string): Promise<string> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const response = await fetch(url, {
    redirect: 'error',
    signal: AbortSignal.timeout(ANSWER_WITHIN),
  });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  const document = discovery.parse(await response.json());
  if (document.issuer === issuer) return document.jwks_uri;
  throw new Error(`${url} names the issuer ${document.issuer}`);
}

function holderOf(payload: JWTPayload, { rolesClaim, roles, desksClaim }: Issuer): TokenHolder {
  const subject = subjectText.safeParse(payload.sub);
  if (!subject.success) throw unauthorized('The subject of the token cannot be used as an id.');
  const names = [payload['name'], payload['preferred_username']];
  const name = names.find((one) => typeof one === 'string' && cleanedName(one) !== '');
  const claimed = [claimOf(payload, rolesClaim)].flat();
  const held = claimed.flatMap((role) =>
    typeof role === 'string' && Object.hasOwn(roles, role) ? (roles[role] ?? []) : [],
  );
  return {
    subject: subject.data,
    name: (name as string | undefined) ?? subject.data,
    roles: held,
    desks: desksClaim === null ? 'all' : desksIn([claimOf(payload, desksClaim)].flat()),
    expiresAt: expiryOf(payload),
  };
}

/** The desks that a claim lists. A token without the claim acts for none. */
function desksIn(claimed: readonly unknown[]): TokenHolder['desks'] {
  if (claimed.includes(ALL)) return 'all';
  const slugs = claimed.filter((one) => slug.safeParse(one).success) as string[];
  return [...new Set(slugs)].slice(0, MOST_DESKS);
}

/** The end of the year 9999: the last day of timestamps in responses. */
const LAST_MOMENT = Date.UTC(10_000, 0) - 1;

/** When a token expires. It must have `exp`, in seconds since 1970. */
function expiryOf({ exp = 0 }: JWTPayload): Date {
  return new Date(Math.min(Math.max(exp * 1_000, 0), LAST_MOMENT));
}

/** A claim by its name or, as some issuers nest them, by a path such as `realm_access.roles`. */
function claimOf(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name];
  return name
    .split('.')
    .reduce<unknown>(
      (within, part) =>
        typeof within === 'object' && within !== null && Object.hasOwn(within, part)
          ? (within as Record<string, unknown>)[part]
          : undefined,
      payload,
    );
}

function problemOf(error: unknown): Problem | Error {
  if (error instanceof Problem) return error;
  if (error instanceof errors.JWTExpired) return unauthorized('The token has expired.');
  if (error instanceof errors.JWTClaimValidationFailed) {
    return unauthorized(`The token is not valid for this service: ${error.message}.`);
  }
  const isOfToken =
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JOSENotSupported ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys ||
    error instanceof errors.JWSSignatureVerificationFailed;
  if (isOfToken) return unauthorized("The token's signature is not valid.");
  return new Problem(
    'unavailable',
    "The identity provider's signing keys are unavailable; try again.",
    {
      headers: { 'retry-after': '5' },
      cause: error,
    },
  );
}
