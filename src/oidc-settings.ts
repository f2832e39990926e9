import { z } from 'zod';
import type { Issuer } from './access/tokens.ts';
import { type Role, ROLES } from './domain/api-keys.ts';

// Only those with public keys: a shared secret would let everyone who checks tokens issue them.
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'EdDSA',
] as const;

/** The settings of the identity provider, as environment variables. */
export const OIDC_ENVIRONMENT = {
  OIDC_ISSUER: z
    .string()
    .refine(isTrustedUrl, {
      error: 'must be an https URL, without a query',
    })
    .optional(),
  OIDC_AUDIENCE: z.string().optional(),
  OIDC_ALGORITHM: z
    .enum(ALGORITHMS, { error: `must be one of ${ALGORITHMS.join(', ')}` })
    .default('RS256'),
  OIDC_JWKS_URL: z
    .string()
    .refine(isTrustedUrl, { error: 'must be an https URL, without a query' })
    .optional(),
  OIDC_ROLES_CLAIM: z.string().default('roles'),
  OIDC_ROLES: z
    .string()
    .default(ROLES.map((role) => `${role}=${role}`).join(','))
    .transform((text, context) => {
      const pairs = text
        .split(',')
        .map((pair) => /^([^=]+)=(.+)$/.exec(pair.trim())?.slice(1) ?? []);
      if (pairs.every(([theirs, ours]) => theirs && ROLES.some((role) => role === ours))) {
        return Object.fromEntries(pairs) as Record<string, Role>;
      }
      context.addIssue(
        `must be pairs such as desk-analysts=analyst, of the roles ${ROLES.join(', ')}`,
      );
      return z.NEVER;
    }),
  OIDC_DESKS_CLAIM: z.string().optional(),
};

const environment = z.object(OIDC_ENVIRONMENT);

/** Whether keys may be fetched from it: over TLS, or on this machine. */
function isTrustedUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, search, hash } = new URL(text);
  const isLocal = ['127.0.0.1', 'localhost', '[::1]'].includes(hostname);
  return (
    (protocol === 'https:' || (protocol === 'http:' && isLocal)) && search === '' && hash === ''
  );
}

/** @throws Error if the settings name an issuer without an audience */
export function issuerOf(settings: z.output<typeof environment>): Issuer | null {
  const { OIDC_ISSUER: issuer, OIDC_AUDIENCE: audience } = settings;
  if (issuer === undefined) return null;
  if (audience === undefined) {
    throw new Error('Invalid settings: OIDC_AUDIENCE is required when OIDC_ISSUER is set.');
  }
  return {
    issuer,
    audience,
    algorithm: settings.OIDC_ALGORITHM,
    jwksUrl: settings.OIDC_JWKS_URL ?? null,
    rolesClaim: settings.OIDC_ROLES_CLAIM,
    roles: settings.OIDC_ROLES,
    desksClaim: settings.OIDC_DESKS_CLAIM ?? null,
  };
}
