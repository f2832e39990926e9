import { expect, test } from 'vitest';
import { pino } from 'pino';
import { LOG_SERIALIZERS } from '../../src/http/logging.ts';
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
  const told = lines.join('');
  expect(told).toContain('/v1/outlooks/olk_…?key=olk_…');
  expect(told).toContain('"reqId":"the-request"');
  expect(told).not.toContain('kkk');
});

test('the log says what is wrong with a connection, but not how to cancel its queries', () => {
  const error = Object.assign(new Error('terminated'), { code: '57P01', client: { secretKey: 7 } });
  const told = LOG_SERIALIZERS.err(error);
  expect(told).toMatchObject({ message: 'terminated', code: '57P01' });
  expect(JSON.stringify(told)).not.toContain('secretKey');
});
