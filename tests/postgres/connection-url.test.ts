import { describe, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { LedgerClient } from '../../src/postgres/client.ts';
import { driverConfig, tlsRemedy, urlFault } from '../../src/postgres/connection-url.ts';

type Read = { host: string; port: number; user?: string; password?: string; database?: string };

/** What `pg` reads of a URL. */
function read(url: string): Read & { ssl: unknown } {
  const { host, port, user, password, database, ssl } = new LedgerClient({ connectionString: url });
  return { host, port, user, password, database, ssl } as Read & { ssl: unknown };
}

describe('a URL is refused with what to do', () => {
  test.each([
    ['postgres://a,b/ledger', /names several hosts/],
    ['postgres://u:p@a:5432,b:5433/ledger?target_session_attrs=read-write', /names several hosts/],
    ['postgres://u:p@/ledger?host=a,b', /names several hosts/],
    ['postgres://u:pa#ss@host/ledger', /can't be read: write the characters/],
    ['postgres://u:pa/ss@host/ledger', /can't be read: write the characters/],
    ['postgres://u:12/3@host/ledger', /can't be read: write the characters/],
    ['postgres://u:p?s@host/ledger', /can't be read: write the characters/],
    ['postgres://u:%FF@host/ledger', /can't be read: write the characters/],
    ['postgres://host:port/ledger', /can't be read: write the characters/],
    ['postgres://u@host/ledger?sslmode=on', /has the sslmode on: use one of disable, /],
    ['postgres://u@host/ledger?target_session_attrs=standby', /needs the primary/],
    ['postgres://u@host/ledger?service=x&sslcrl=y', /has service, sslcrl, which .* remove it/],
  ])('%s', (url, fault) => {
    expect(urlFault(url)).toMatch(fault);
    for (const name of ['DATABASE_URL', 'DIRECT_DATABASE_URL', 'DATABASE_MIGRATION_URL']) {
      const settings = { DATABASE_URL: 'postgres://h/d', [name]: url };
      expect(() => readConfig(settings)).toThrow(fault);
      expect(() => readConfig(settings)).toThrow(
        new RegExp(`^Invalid settings: ${name} [^\n]+\\.$`),
      );
    }
  });
});

describe('a URL is read as it is meant', () => {
  test.each<[string, Partial<Read>]>([
    [
      'postgres://u:p%40s%23%2F%3F%25@host:6000/l',
      { password: 'p@s#/?%', host: 'host', port: 6000 },
    ],
    ['postgres://u:p@ss@host/l', { password: 'p@ss', host: 'host' }],
    ['postgres://u:pä ss,100%x@host/l', { password: 'pä ss,100%x', host: 'host' }],
    ['postgres://u:p:q@[::1]:5/l', { password: 'p:q', host: '::1', port: 5 }],
    ['postgres://u@/l?host=/var/run/postgresql', { host: '/var/run/postgresql', database: 'l' }],
    ['postgres://%2Fvar%2Frun%2Fpostgresql/l', { host: '/var/run/postgresql', database: 'l' }],
    ['postgres:///l?host=/tmp&user=me', { host: '/tmp', user: 'me', database: 'l' }],
    ['postgresql://u@h/l?target_session_attrs=read-write', { host: 'h', database: 'l' }],
  ])('%s', (url, expected) => {
    expect(urlFault(url)).toBeNull();
    expect(read(url)).toMatchObject(expected);
  });
});

describe('TLS is', () => {
  test.each([
    ['', false],
    ['?sslmode=disable', false],
    ['?sslmode=allow', {}],
    ['?sslmode=prefer', {}],
    ['?sslmode=require', {}],
    ['?sslmode=require&channel_binding=require', {}],
    ['?sslmode=verify-ca', {}],
    ['?sslmode=verify-full', {}],
    ['?sslmode=verify-full&sslrootcert=system', {}],
    ['?sslmode=no-verify', { rejectUnauthorized: false }],
  ])('with %s as the documentation says, without a warning', (query, ssl) => {
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on('warning', note);
    expect(urlFault(`postgres://h/d${query}`)).toBeNull();
    expect(read(`postgres://h/d${query}`).ssl).toEqual(ssl);
    process.off('warning', note);
    expect(warnings).toEqual([]);
  });

  test('verified without the name, if verify-ca has a CA', () => {
    const file = new URL(import.meta.url).pathname; // any file: it is read, not parsed
    const { ssl } = read(`postgres://h/d?sslmode=verify-ca&sslrootcert=${file}`);
    expect(ssl).toMatchObject({ checkServerIdentity: expect.any(Function) as () => void });
  });

  test('not used on a unix socket', () => {
    expect(read('postgres://u@/d?host=/tmp&sslmode=require').ssl).toBe(false);
  });

  test.each([
    ['SELF_SIGNED_CERT_IN_CHAIN', 'add sslrootcert=FILE'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'add sslrootcert=FILE'],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'add sslrootcert=FILE'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'use the host name of the certificate'],
  ])('explained if it fails with %s', (code, remedy) => {
    expect(tlsRemedy(Object.assign(new Error('x'), { code }))).toContain(remedy);
    expect(tlsRemedy(new Error('x'))).toBeNull();
  });
});

test('the service chooses limits itself, and poolers refuse them at the start of a session', () => {
  const url =
    'postgres://h/d?statement_timeout=1&lock_timeout=1&query_timeout=0&application_name=x';
  expect(driverConfig(url)).toEqual({ connectionString: 'postgres://h/d?application_name=x' });
});
