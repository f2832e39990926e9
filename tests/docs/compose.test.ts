import { expect, test } from 'vitest';
import { textOf } from '../support/documents.ts';

/** The services of the compose file, as text. */
const services = Object.fromEntries(
  (textOf('docker-compose.yml').split(/^networks:$/m)[0] ?? '')
    .split(/^(?=  \w+:$)/m)
    .map((text) => [/^  (\w+):/.exec(text)?.[1] ?? '', text]),
);

const roleIn = (url: string, service: string) =>
  new RegExp(`^ +${url}: postgres://(\\w+):`, 'm').exec(services[service] ?? '')?.[1];

test('compose migrates as the owner, whose password the service never gets', () => {
  const owner = /POSTGRES_USER: (\w+)/.exec(services['database'] ?? '')?.[1];
  expect([owner, roleIn('DATABASE_MIGRATION_URL', 'migrate')]).toEqual(['ledger', owner]);
  expect(roleIn('DATABASE_URL', 'ledger')).toBe('ledger_service');
  expect(roleIn('DATABASE_URL', 'migrate')).toBe('ledger_service');
  expect(services['ledger']).not.toMatch(/POSTGRES_PASSWORD|DATABASE_MIGRATION_URL/);
  expect(services['ledger']).toMatch(/migrate:\s+condition: service_completed_successfully/);
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
