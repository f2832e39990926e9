import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Webhook } from 'standardwebhooks';
import { isGivenUp, retryAfter, secretText, signaturesOf } from '../../src/domain/webhooks.ts';

const secrets = fc.uint8Array({ minLength: 24, maxLength: 64 }).map((bytes) => Buffer.from(bytes));

test('the published library accepts every signature by either secret, and by no other', () => {
  fc.assert(
    fc.property(
      fc.tuple(secrets, secrets, secrets),
      fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed()),
      fc.uuid(),
      ([first, second, other], text, id) => {
        fc.pre(!other.equals(first) && !other.equals(second));
        const body = JSON.stringify({ text });
        const timestamp = Math.floor(Date.now() / 1000);
        const headers = {
          'webhook-id': id,
          'webhook-timestamp': String(timestamp),
          'webhook-signature': signaturesOf([first, second], { id, timestamp, body }),
        };
        for (const secret of [first, second]) {
          const receiver = new Webhook(secretText(secret));
          expect(receiver.verify(body, headers)).toEqual({ text });
          expect(() => receiver.verify(`${body} `, headers)).toThrow('No matching signature');
        }
        expect(() => new Webhook(secretText(other)).verify(body, headers)).toThrow('No matching');
      },
    ),
  );
});

test('waits are those of the specification, and at most a tenth longer', () => {
  const hours = (count: number) => count * 3_600_000;
  const waits = [5_000, 300_000, 1_800_000, ...[2, 5, 10, 14, 20, 24, 24, 24].map(hours)];
  const least = waits.map((_, index) => retryAfter(index + 1, 0));
  expect(least).toEqual(waits);
  expect(retryAfter(1_000_000, 0)).toBe(hours(24));
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (n, chance) => {
        const [wait, shortest] = [retryAfter(n, chance), retryAfter(n, 0)];
        expect(wait).toBeGreaterThanOrEqual(shortest);
        expect(wait).toBeLessThanOrEqual(1.1 * shortest);
      },
    ),
  );
});

test('a receiver is given up on after five days, and no sooner', () => {
  const since = new Date('2026-11-20T16:00:00.000Z');
  const after = (milliseconds: number) => new Date(since.getTime() + milliseconds);
  expect(isGivenUp(since, after(5 * 86_400_000 - 1))).toBe(false);
  expect(isGivenUp(since, after(5 * 86_400_000))).toBe(true);
});
