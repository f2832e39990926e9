import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { Role } from '../../src/domain/api-keys.ts';
import type { TestLedger } from './ledger.ts';

/** Someone who sends requests. */
export type Caller = {
  name: string;
  role: Role | null;
  /** The desks that it acts for: that of what the test asks for, another one, all, or none. */
  desks: 'own' | 'other' | 'all' | 'none';
  /** The Authorization header; undefined for a caller without a key. */
  authorization: string | undefined;
};

/** The slug of each desk in requests. The first desk is another one than that of what a test asks for. */
const SLUGS = { own: ['rates'], other: ['main'], all: ['*'], none: [] };

const KINDS = [
  ['feed', 'own'],
  ['feed', 'other'],
  ['analyst', 'own'],
  ['analyst', 'other'],
  ['analyst', 'all'],
  ['admin', 'all'],
] as const;

/** An identity provider on this machine, whose tokens say which desks they act for. */
export class TokenIssuer {
  readonly #pair = generateKeyPair('RS256');
  readonly #server = createServer((_, response) => {
    void this.#pair
      .then(({ publicKey }) => exportJWK(publicKey))
      .then((key) =>
        response.end(JSON.stringify({ keys: [{ ...key, kid: 'one', alg: 'RS256' }] })),
      );
  });

  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get #origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The setting of a service that accepts its tokens. */
  settings(desksClaim: string | null) {
    return {
      issuer: this.#origin,
      audience: 'https://ledger.example',
      algorithm: 'RS256',
      jwksUrl: `${this.#origin}/keys`,
      rolesClaim: 'roles',
      roles: { analyst: 'analyst', feed: 'feed', admin: 'admin' },
      desksClaim,
    } as const;
  }

  /** The header of a token that is valid around `now`. Without `desks`, the token has no such claim. */
  async authorization(subject: string, role: Role, now: Date, desks?: string[]): Promise<string> {
    const { privateKey } = await this.#pair;
    const token = await new SignJWT({ name: subject, roles: [role], ...(desks && { desks }) })
      .setProtectedHeader({ alg: 'RS256', kid: 'one' })
      .setIssuer(this.#origin)
      .setAudience('https://ledger.example')
      .setSubject(subject)
      .setExpirationTime(new Date(now.getTime() + 3_600_000))
      .sign(privateKey);
    return `Bearer ${token}`;
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/** One caller of each kind: without a key, and with a key and a token of each role and desk. */
export async function everyCaller(ledger: TestLedger, issuer: TokenIssuer): Promise<Caller[]> {
  const callers: Caller[] = [
    { name: 'no key', role: null, desks: 'none', authorization: undefined },
    {
      name: 'token of an analyst that names no desk',
      role: 'analyst',
      desks: 'none',
      authorization: await issuer.authorization('Deskless', 'analyst', ledger.clock.now),
    },
  ];
  for (const [role, desks] of KINDS) {
    const kind = `of the ${role} of ${desks}`;
    const token = await issuer.authorization(`Token ${kind}`, role, ledger.clock.now, SLUGS[desks]);
    callers.push(
      { name: `key ${kind}`, role, desks, authorization: await keyOf(ledger, role, desks, kind) },
      { name: `token ${kind}`, role, desks, authorization: token },
    );
  }
  return callers;
}

async function keyOf(
  { app, keys }: TestLedger,
  role: Role,
  desks: 'own' | 'other' | 'all',
  kind: string,
): Promise<string> {
  const response = await app.inject({
    method: 'POST',
    url: '/v1/keys',
    headers: { authorization: `Bearer ${keys.admin}` },
    payload: { name: `Key ${kind}`, role, desks: desks === 'all' ? '*' : SLUGS[desks] },
  });
  if (response.statusCode !== 201) throw new Error(response.body);
  return `Bearer ${response.json<{ key: string }>().key}`;
}
