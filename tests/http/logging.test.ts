import { expect, test } from 'vitest';
import { pino } from 'pino';
import { LOG_SERIALIZERS, withoutSecrets } from '../../src/http/logging.ts';
import { createDatabase, openDatabase } from '../support/database.ts';
import { buildSilentApp } from '../support/ledger.ts';

test('the log has each request with its id, and no key, wherever a client puts one', async () => {
  const lines: string[] = [];
  const logger = pino(
    { level: 'trace', serializers: LOG_SERIALIZERS },
    { write: (line: string) => void lines.push(line) },
  );
  const pool = openDatabase(await createDatabase());
  const app = await buildSilentApp(pool, { requireKeyForReads: true, logger });
  const key = `olk_${'k'.repeat(43)}`;
  await app.inject({
    url: `/v1/outlooks/${key}?key=${key}`,
    headers: { authorization: `Bearer ${key}`, cookie: key, 'x-request-id': 'the-request' },
  });
  await app.close();
  await pool.end();
  const logged = lines.join('');
  expect(logged).toContain('/v1/outlooks/olk_…?key=olk_…');
  expect(logged).toContain('"reqId":"the-request"');
  expect(logged).not.toContain('kkk');
});

const KEY = `olk_${'k'.repeat(43)}`;
const encoded = (text: string, times: number): string =>
  times === 0
    ? text
    : encoded(
        Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
        times - 1,
      );

test.for([
  ['a key', KEY, 'olk_…'],
  ['a key in the middle', `/v1/a/${KEY}/b?c=d`, '/v1/a/olk_…/b?c=d'],
  ['a key in capitals', KEY.toUpperCase(), 'OLK_…'],
  ['one encoded letter', `/v1/%6f${KEY.slice(1)}`, '/v1/olk_…'],
  ['its encoded prefix, in capitals', `/%6F%6C%6B%5F${KEY.slice(4)}`, '/olk_…'],
  ['an encoded rest', `/olk_%6b%6b%6b%6b${KEY.slice(8)}/x`, '/olk_…/x'],
  ['a key encoded twice', `/?x=%256f%256c${KEY.slice(2)}`, '/?x=olk_…'],
  ['a key of which all is encoded, three times', encoded(KEY, 3), 'olk_…'],
  ['a key encoded beyond reason', `/v1/x${encoded(KEY, 10)}`, '/v1/x…'],
  ['the secret of a webhook', `/?s=whsec_${'a+/'.repeat(9)}=&x=1`, '/?s=whsec_…&x=1'],
  ['its encoded secret', `/?s=whsec%5F${'a%2B%2F'.repeat(9)}%3D&x=1`, '/?s=whsec_…&x=1'],
  [
    'a token',
    '/?access_token=eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln&x=1',
    '/?access_token=eyJ…&x=1',
  ],
  ['an encoded token', '/?t=%65yJhbGciOiJSUzI1NiJ9%2EeyJzdWIiOiJhIn0%2Ec2ln', '/?t=eyJ…'],
])('%s is replaced', ([, text, logged]) => {
  expect(withoutSecrets(text ?? '')).toBe(logged);
});

test.for([
  '/v1/outlooks/heyjude.md?q=a%20b%25',
  '/v1/outlooks/%E4%BD%A0?x=%zz%',
  'This requires a key with the role admin; olk_Ab3x… has the role feed.',
  '/folk',
])('%s is logged as it is', (text) => {
  expect(withoutSecrets(text)).toBe(text);
});

test('errors of the database are logged without what they quote', () => {
  const error = Object.assign(new Error(`invalid input syntax for type uuid: "${KEY}"`), {
    code: '22P02',
    constraint: 'outlooks_slug',
    detail: 'Key (slug)=(private) already exists.',
    where: "unnamed portal parameter $1 = 'private'",
    internalQuery: "select 'private'",
    parameters: ['private'],
    query: "insert into outlooks values ('private')",
  });
  const inner = new AggregateError([error], 'several', { cause: new Error(KEY) });
  const logged = JSON.stringify([LOG_SERIALIZERS.err(error), LOG_SERIALIZERS.err(inner)]);
  expect(logged).not.toMatch(/private|kkkkk/);
  expect(LOG_SERIALIZERS.err(error)).toMatchObject({
    message: 'invalid input syntax for type uuid: "olk_…"',
    code: '22P02',
    constraint: 'outlooks_slug',
  });
  expect(LOG_SERIALIZERS.err(KEY)).toBe('olk_…');
});

test('the log says what is wrong with a connection, but not how to cancel its queries', () => {
  const error = Object.assign(new Error('terminated'), { code: '57P01', client: { secretKey: 7 } });
  const logged = LOG_SERIALIZERS.err(error);
  expect(logged).toMatchObject({ message: 'terminated', code: '57P01' });
  expect(JSON.stringify(logged)).not.toContain('secretKey');
});
