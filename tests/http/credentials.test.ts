import { describe, expect, test } from 'vitest';
import { credentialsOf, sendsCredentials } from '../../src/http/credentials.ts';

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
const KEY = `olk_${'a'.repeat(43)}`;
const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl';

describe('credentials of this service are recognised', () => {
  test.for([
    `Bearer ${KEY}`,
    `bearer   ${KEY} `,
    'Bearer olk_',
    'Bearer olk_not!a?key',
    `Bearer olk_${'a'.repeat(500)}`,
    basic(`:${KEY}`),
    basic(`${KEY}:`),
    basic(`anyone:${KEY}`),
    basic('anyone:olk_mistyped?'),
  ])('%s', (header) => {
    for (const acceptsTokens of [true, false])
      expect(sendsCredentials(header, { acceptsTokens })).toBe(true);
  });

  test('a token, if there is a provider', () => {
    expect(sendsCredentials(`Bearer ${TOKEN}`, { acceptsTokens: true })).toBe(true);
    expect(sendsCredentials(`Bearer ${TOKEN}`, { acceptsTokens: false })).toBe(false);
  });
});

test.for([
  undefined,
  '',
  'Bearer',
  'Bearer abc',
  'Bearer a.b',
  basic('proxy:password'),
  basic('proxy:not olk_ at its start'),
  'Basic ???',
  'Digest username="olk_"',
  'Negotiate YIIB',
  KEY,
])('those of others are not: %s', (header) => {
  expect(sendsCredentials(header, { acceptsTokens: true })).toBe(false);
});

test('a write takes no key from HTTP Basic', () => {
  expect(credentialsOf(basic(`:${KEY}`), { isRead: true }).key).toBe(KEY);
  expect(credentialsOf(basic(`:${KEY}`), { isRead: false }).key).toBeUndefined();
  expect(credentialsOf(`Bearer ${TOKEN}`, { isRead: true })).toEqual({ token: TOKEN });
});
