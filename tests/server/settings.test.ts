import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { readConfig, SETTINGS } from '../../src/config.ts';
import { cleanUp, freePort, run } from '../support/service.ts';

afterAll(cleanUp);

const EXAMPLE = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8');
/** The file's settings, with those that it shows behind a `#`. */
const settings = parseEnv(EXAMPLE.replaceAll(/^# ?(?=[A-Z][A-Z_]*=)/gm, '')) as Record<
  string,
  string
>;

test('.env.example lists every setting', () => {
  expect(Object.keys(settings).toSorted()).toEqual(SETTINGS.toSorted());
});

test('.env.example gives every setting its default', () => {
  expect(readConfig(settings)).toEqual(readConfig({}));
});

const FAULTS = {
  PORT: ['abc', 'must be a whole number'],
  DATABASE_URL: ['mysql://localhost/db', 'must start with postgres:// or postgresql://'],
  DATABASE_MIGRATION_URL: ['ledger', 'must start with postgres:// or postgresql://'],
  DATABASE_POOL_MAX: ['0', 'must be from 1 to 1000'],
  LOG_LEVEL: ['loud', 'must be one of fatal, error, warn, info, debug, trace, silent'],
  LOAD_SAMPLES: ['yes', 'must be true or false'],
  REQUIRE_KEY_FOR_READS: ['1', 'must be true or false'],
  CORS_ORIGINS: ['desk.example', 'must be origins such as https://desk.example'],
  CACHE_MAX_BYTES: ['-1', 'must be a whole number'],
  REQUESTS_AT_ONCE: ['1', 'must be at least 2'],
  TRUSTED_PROXIES: ['10.0.0.0/33', 'must be addresses, networks such as 10.0.0.0/8'],
  BACKUP_EVERY: ['daily', 'must be off, or a time such as 30m, 24h or 7d'],
  BACKUP_KEEP: ['0', 'must be from 1 to 10000'],
  OIDC_ISSUER: ['http://id.example', 'must be an https URL'],
  OIDC_ALGORITHM: ['HS256', 'must be one of RS256'],
  OIDC_ROLES: ['desk=owner', 'must be pairs such as desk-analysts=analyst'],
  WEBHOOK_PRIVATE_ADDRESSES: ['maybe', 'must be true or false'],
  PULL_SERIES: ['maybe', 'must be true or false'],
  PULL_PRIVATE_ORIGINS: ['http://a.example/x', 'must be origins such as http://data.internal:8080'],
  FRED_API_KEY: ['no key', 'must be a key of FRED'],
  FRED_URL: ['https://a.example/', 'must be an http or https URL without'],
  ECB_URL: ['https://u:p@a.example', 'must be an http or https URL without'],
  STOOQ_URL: ['ftp://a.example', 'must be an http or https URL without'],
} as const;

test.each(['server.js', 'commands/keys.js'])(
  '%s names all bad settings in one line',
  async (program) => {
    const bad = Object.fromEntries(Object.entries(FAULTS).map(([name, [value]]) => [name, value]));
    const started = run(program, program === 'commands/keys.js' ? ['list'] : [], bad);
    expect(await started.ended).toEqual({ code: 1, signal: null });
    expect(started.stdout()).toBe('');
    expect(started.stderr()).toMatch(/^[^\n]+\n$/);
    for (const [name, [, fault]] of Object.entries(FAULTS)) {
      expect(started.stderr()).toContain(`${name} ${fault}`);
    }
  },
);

test('the embedded database is backed up daily, into its folder', () => {
  const schedule = { every: 86_400_000, keep: 7, folder: '.data/backups' };
  expect(readConfig({}).backups).toEqual(schedule);
  expect(readConfig({ DATA_DIR: '/d', BACKUP_EVERY: '30m', BACKUP_KEEP: '2' }).backups).toEqual({
    every: 1_800_000,
    keep: 2,
    folder: '/d/backups',
  });
  expect(readConfig({ BACKUP_DIR: '/b', BACKUP_EVERY: '7d' }).backups?.folder).toBe('/b');
  expect(readConfig({ BACKUP_EVERY: 'off' }).backups).toBeNull();
});

test.each(['0h', '00d', '1', '1w', '-1h', '1.5h', '1 h', '99999h', 'H', '24H'])(
  'BACKUP_EVERY=%s is refused',
  (every) => expect(() => readConfig({ BACKUP_EVERY: every })).toThrow('BACKUP_EVERY must be'),
);

test('backups of another database are refused, and none are taken of it', () => {
  const DATABASE_URL = 'postgres://db/ledger';
  for (const [name, value] of [
    ['BACKUP_EVERY', '24h'],
    ['BACKUP_DIR', '/b'],
  ] as const) {
    const settings = { DATABASE_URL, [name]: value };
    expect(() => readConfig(settings)).toThrow(`${name} is for the embedded database`);
  }
  expect(readConfig({ DATABASE_URL, BACKUP_EVERY: 'off' }).backups).toBeNull();
  expect(readConfig({ DATABASE_URL, BACKUP_KEEP: '3' }).backups).toBeNull();
});

test('a missing database is reported in one line', async () => {
  const started = run('server.js', [], {
    DATABASE_URL: `postgres://desk:hunter2@127.0.0.1:${await freePort()}/ledger`,
  });
  expect(await started.ended).toEqual({ code: 1, signal: null });
  expect(started.stderr()).toMatch(/^Outlook Ledger can't start: .*ECONNREFUSED.*\n$/);
  expect(started.stderr()).not.toContain('hunter2');
});
