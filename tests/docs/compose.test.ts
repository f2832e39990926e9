import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { textOf } from '../support/documents.ts';
import { findProgram, missingPrograms } from '../support/programs.ts';

const SINGLE = 'docker-compose.yml';
const CLUSTER = 'deploy/compose.ha.yml';

/** The services of a compose file, and the parts that they share (`x-…`), as text. */
function partsOf(file: string): Record<string, string> {
  const top = textOf(file).split(/^(?=\S)/m);
  const services = top.find((part) => part.startsWith('services:'))?.split(/^(?=  \w+:)/m) ?? [];
  const shared = top.filter((part) => part.startsWith('x-'));
  return Object.fromEntries(
    [...shared, ...services].map((part) => [/^(?: {2}|x-)(\w+):/.exec(part)?.[1] ?? '', part]),
  );
}

function roleIn(part: string | undefined, url: string): string | undefined {
  return new RegExp(`^ +${url}: postgres://(\\w+):`, 'm').exec(part ?? '')?.[1];
}

test('compose migrates as the owner, whose password the service never gets', () => {
  const { database, ledger, migrate } = partsOf(SINGLE);
  const owner = /POSTGRES_USER: (\w+)/.exec(database ?? '')?.[1];
  expect([owner, roleIn(migrate, 'DATABASE_MIGRATION_URL')]).toEqual(['ledger', owner]);
  expect(roleIn(ledger, 'DATABASE_URL')).toBe('ledger_service');
  expect(roleIn(migrate, 'DATABASE_URL')).toBe('ledger_service');
  expect(ledger).not.toMatch(/POSTGRES_PASSWORD|DATABASE_MIGRATION_URL/);
  expect(ledger).toMatch(/migrate:\s+condition: service_completed_successfully/);
});

test('so does the cluster, whose instances reach neither Patroni nor etcd', () => {
  const { ledger, migrate, postgres, haproxy, etcd } = partsOf(CLUSTER);
  expect(roleIn(migrate, 'DATABASE_MIGRATION_URL')).toBe('ledger');
  expect(textOf('deploy/create-ledger.sh')).toContain('create role ledger login');
  expect(roleIn(ledger, 'DATABASE_URL')).toBe('ledger_service');
  expect(roleIn(migrate, 'DATABASE_URL')).toBe('ledger_service');
  expect(ledger).not.toMatch(/OWNER_PASSWORD|POSTGRES_PASSWORD|STANDBY_PASSWORD/);
  expect(ledger).toMatch(/migrate:\s+condition: service_completed_successfully/);
  const networks = [ledger, postgres, etcd, haproxy].map(
    (part) => /^ +networks: (.*)/m.exec(part ?? '')?.[1],
  );
  expect(networks).toEqual(['[public]', '[database]', '[database]', '[public, database]']);
});

test('no password of the cluster has a default', () => {
  const passwords = [...textOf(CLUSTER).matchAll(/\$\{(\w+_PASSWORD)(.*?)\}/g)];
  expect(new Set(passwords.map(([, name]) => name)).size).toBe(4);
  for (const [, , rest] of passwords) expect(rest).toMatch(/^:\?/);
});

/** The installed compose, as a command; null, with a warning, if there is none. */
function composeCommand(): [string, ...string[]] | null {
  const docker = findProgram('docker');
  if (docker && spawnSync(docker, ['compose', 'version']).status === 0) return [docker, 'compose'];
  return missingPrograms(['docker-compose']).length > 0
    ? null
    : [findProgram('docker-compose') ?? ''];
}

const command = composeCommand();

describe.skipIf(command === null)('compose', () => {
  const PASSWORDS = ['POSTGRES', 'OWNER', 'SERVICE', 'STANDBY'].map((name) => `${name}_PASSWORD`);
  const config = (file: string, names: readonly string[]) => {
    const [program = '', ...args] = command ?? [];
    return spawnSync(program, [...args, '--file', file, 'config', '--quiet'], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env: { PATH: process.env['PATH'], ...Object.fromEntries(names.map((name) => [name, 'x'])) },
      encoding: 'utf8',
    });
  };

  test.each([SINGLE, CLUSTER])('accepts %s', (file) => {
    expect(config(file, PASSWORDS)).toMatchObject({ status: 0 });
  });

  test('refuses the cluster without a password', () => {
    const { status, stderr } = config(CLUSTER, PASSWORDS.slice(1));
    expect(status).not.toBe(0);
    expect(stderr).toContain('letters and digits');
  });
});

test('images are pinned by digest, and the stages of ours share one', () => {
  const named = (file: string, pattern: RegExp) =>
    [...textOf(file).matchAll(pattern)].map(([, image = '']) => image);
  const stages = named('Dockerfile', /^FROM (\S+)/gm);
  expect(stages.length).toBe(3);
  expect(new Set(stages).size).toBe(1);
  const images = [...stages, ...named('docker-compose.yml', /^ +image: (\S+)/gm)];
  for (const image of images) expect(image).toMatch(/^[\w/.-]+:[\w.-]+@sha256:[0-9a-f]{64}$/);
});
