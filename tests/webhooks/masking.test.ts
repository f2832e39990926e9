import { Writable } from 'node:stream';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isMasked, maskedUrl } from '../../src/domain/webhooks.ts';
import { MERGE_PATCH, faultsOf, send } from '../support/requests.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { Receiver } from '../support/receiver.ts';

const TOKEN = 'S3cretTokenOfAChannel0aB3d';

test.for([
  [`https://hooks.slack.com/services/T0/B0/${TOKEN}`, 'https://hooks.slack.com/…aB3d'],
  [
    `https://prod-1.logic.azure.com:444/w/x?sig=${TOKEN}`,
    'https://prod-1.logic.azure.com:444/…aB3d',
  ],
  ['https://chat.example/short', 'https://chat.example/…'],
  ['https://chat.example', 'https://chat.example/…'],
  [`https://chat.example/${TOKEN}%20`, 'https://chat.example/…'],
  [`https://chat.example/${'a'.repeat(30)}😀`, 'https://chat.example/…'],
])('%s is shown as %s', ([url = '', masked = '']) => {
  expect(maskedUrl(url)).toBe(masked);
  expect([isMasked(masked), isMasked(encodeURI(masked)), isMasked(url)]).toEqual([
    true,
    true,
    false,
  ]);
});

let ledger: TestLedger;
let receiver: Receiver;
let logged = '';
beforeAll(async () => {
  receiver = await new Receiver(null, { describes: false }).open();
  const stream = new Writable({
    write: (chunk: Buffer, _, done) => {
      logged += chunk.toString();
      done();
    },
  });
  ledger = await startLedger({
    webhookPrivateAddresses: true,
    logger: pino({ level: 'trace' }, stream),
  });
  await ledger.app.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  await ledger.close();
  await receiver.kill();
});

const admin = (method: 'POST' | 'PATCH', url: string, body: object, key?: string) =>
  send(ledger, method, url, body, {
    as: 'admin',
    ...(method === 'PATCH' && { type: MERGE_PATCH }),
    headers: key === undefined ? {} : { 'idempotency-key': key },
  });

test('the URL of a chat is nowhere but in its own column; that of JSON is shown', async () => {
  const secret = `${receiver.url}/services/${TOKEN}`;
  const masked = maskedUrl(secret);
  const answers: string[] = [];
  receiver.answer = (_, response) => response.writeHead(404).end(`no_service ${secret}`);
  for (const format of ['slack', 'teams'] as const) {
    const created = await admin('POST', '/v1/webhooks', { url: secret, format }, `new-${format}`);
    expect(created.json()).toMatchObject({ url: masked, format });
    const { id } = created.json<{ id: string }>();
    const path = `/v1/webhooks/${id}`;
    const changed = await admin('PATCH', path, { url: secret, description: 'D' }, `to-${format}`);
    const tested = await admin('POST', `${path}/test`, {});
    const rotated = await admin('POST', `${path}/secret`, {}, `rotate-${format}`);
    const read = await ledger.call({ url: path, as: 'admin' });
    for (const answer of [created, changed, tested, rotated, read]) answers.push(answer.body);
    expect(changed.json()).toMatchObject({ url: masked });
    const refused = await admin('PATCH', path, { url: masked });
    expect(faultsOf(refused.json())).toEqual({
      '/url':
        'must be the whole URL, not the short form that responses show of a secret one; leave it out to keep the URL',
    });
    answers.push(refused.body);
  }
  const revised = await ledger.revise({
    probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
    rationale: 'R',
  });
  expect(revised.statusCode, revised.body).toBe(201);
  const { rows: webhooks } = await ledger.pool.query<{ id: string }>('select id from webhooks');
  for (const { id } of webhooks) {
    const url = `/v1/webhooks/${id}/deliveries`;
    const deliveries = () => ledger.call({ url, as: 'admin' });
    await expect.poll(async () => (await deliveries()).body).toContain('answered 404');
    answers.push((await deliveries()).body);
  }
  for (const url of ['/v1/webhooks', '/v1/audit', `/v1/outlooks/${SLUG}`]) {
    answers.push((await ledger.call({ url, as: 'admin' })).body);
  }
  const { rows: tables } = await ledger.pool.query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'public'`,
  );
  for (const { name } of tables.filter((table) => table.name !== 'webhooks')) {
    const { rows } = await ledger.pool.query<{ row: string }>(
      `select t::text as row from "${name}" t`,
    );
    const text = rows.map(({ row }) => row).join('\n');
    const readable = text.replaceAll(/\\x[0-9a-f]+/g, (hex) =>
      Buffer.from(hex.slice(2), 'hex').toString('latin1'),
    );
    expect(text.includes(TOKEN) || readable.includes(TOKEN), name).toBe(false);
  }
  expect(answers.filter((body) => body.includes(TOKEN))).toEqual([]);
  expect(logged).toContain('a webhook delivery failed');
  expect(logged).not.toContain(TOKEN);

  const json = await admin('POST', '/v1/webhooks', { url: secret });
  expect(json.json()).toMatchObject({ url: secret, format: 'json' });
});
