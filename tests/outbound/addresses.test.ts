import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addressesOf, type Resolve, resolveName } from '../../src/outbound/addresses.ts';

const nobody: Resolve = async () => expect.fail('a literal address is not looked up');
const named =
  (...addresses: string[]): Resolve =>
  async () =>
    addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
const judge = (url: string, resolve = nobody, allowsPrivate = false) =>
  addressesOf(new URL(url), { resolve, allowsPrivate }).then(
    () => 'allowed',
    (error: Error) => error.message,
  );
const REFUSED = /^must point to a public address; .+ not public \(\w+\)$/;

/** Networks that are not public, as [first address, bits that are free]. */
const NETWORKS: [string, number][] = [
  ['0.0.0.0', 24],
  ['10.0.0.0', 24],
  ['100.64.0.0', 22],
  ['127.0.0.0', 24],
  ['169.254.0.0', 16],
  ['172.16.0.0', 20],
  ['192.0.0.0', 8],
  ['192.0.2.0', 8],
  ['192.168.0.0', 16],
  ['198.18.0.0', 17],
  ['198.51.100.0', 8],
  ['203.0.113.0', 8],
  ['224.0.0.0', 28],
  ['240.0.0.0', 28],
];
const numberOf = (dotted: string) =>
  dotted.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
const octets = (value: number) => [24, 16, 8, 0].map((bits) => Math.floor(value / 2 ** bits) % 256);
const hexOf = (value: number) => value.toString(16).padStart(8, '0');

const privateNumber = fc
  .constantFrom(...NETWORKS)
  .chain(([first, bits]) => fc.nat(2 ** bits - 1).map((host) => numberOf(first) + host));

/** The same IPv4 address as people, attackers and IPv6 spell it. */
const SPELLINGS: Record<string, (value: number) => string> = {
  dotted: (value) => octets(value).join('.'),
  number: String,
  hexadecimal: (value) => `0x${value.toString(16)}`,
  octal: (value) => `0${value.toString(8)}`,
  'dotted octal': (value) =>
    octets(value)
      .map((part) => `0${part.toString(8)}`)
      .join('.'),
  'dotted hexadecimal': (value) =>
    octets(value)
      .map((part) => `0x${part.toString(16)}`)
      .join('.'),
  'two parts': (value) => `${Math.floor(value / 2 ** 24)}.${value % 2 ** 24}`,
  'three parts': (value) => `${octets(value).slice(0, 2).join('.')}.${value % 2 ** 16}`,
  'full-width digits': (value) =>
    octets(value)
      .join('.')
      .replaceAll(/\d/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))),
  'with a dot behind': (value) => `${octets(value).join('.')}.`,
  mapped: (value) => `[::ffff:${octets(value).join('.')}]`,
  'mapped, in full': (value) =>
    `[0:0:0:0:0:ffff:${hexOf(value).slice(0, 4)}:${hexOf(value).slice(4)}]`,
  compatible: (value) => `[::${octets(value).join('.')}]`,
  translated: (value) => `[::ffff:0:${octets(value).join('.')}]`,
  NAT64: (value) => `[64:ff9b::${octets(value).join('.')}]`,
  'local NAT64': (value) => `[64:ff9b:1::${octets(value).join('.')}]`,
  '6to4': (value) => `[2002:${hexOf(value).slice(0, 4)}:${hexOf(value).slice(4)}::]`,
};

describe.each(Object.entries(SPELLINGS))('an address that is not public, %s', (_, spell) => {
  test('is refused, as a literal', async () => {
    await fc.assert(
      fc.asyncProperty(privateNumber, async (value) => {
        expect(await judge(`https://${spell(value)}:8443/x`)).toMatch(REFUSED);
      }),
    );
  });

  test('is refused if a name resolves to it, also among others', async () => {
    await fc.assert(
      fc.asyncProperty(privateNumber, fc.boolean(), async (value, isFirst) => {
        // What a resolver answers is spelt in one way.
        const address = new URL(`https://${spell(value)}`).hostname.replace(/^\[(.*)\]$/, '$1');
        const both = isFirst ? [address, '93.184.216.34'] : ['93.184.216.34', address];
        expect(await judge('https://desk.example', named(...both))).toMatch(REFUSED);
      }),
    );
  });
});

test.each([
  '[::]',
  '[::1]',
  '[fe80::1]',
  '[febf::1]',
  '[fec0::1]',
  '[fc00::1]',
  '[fdff:ffff::1]',
  '[ff02::1]',
  '[2001:db8::1]',
  '[2001::1]',
  '[100::1]',
  '[3fff::1]',
  '[5f00::1]',
  '[2001:2::1]',
  '[2001:20::1]',
])('%s is refused', async (host) => {
  expect(await judge(`https://${host}/`)).toMatch(REFUSED);
});

test('localhost is refused, by whatever name', async () => {
  for (const host of ['localhost', 'LOCALHOST']) {
    expect(await judge(`https://${host}/`, resolveName)).toMatch(REFUSED);
  }
});

test('what a resolver returns is an address or refused', async () => {
  expect(await judge('https://desk.example', named('not an address'))).toMatch(REFUSED);
  expect(await judge('https://desk.example', named('fe80::1%eth0'))).toMatch(REFUSED);
});

test.each(['93.184.216.34', '[2606:4700::1111]', '100.128.0.1', '172.32.0.1'])(
  '%s is public: allowed with TLS, whatever is set',
  async (host) => {
    expect(await judge(`https://${host}/`)).toBe('allowed');
    expect(await judge(`https://${host}/`, nobody, true)).toBe('allowed');
    expect(await judge(`http://${host}/`)).toBe('must be an https URL');
    expect(await judge(`http://${host}/`, nobody, true)).toMatch(/^must be an https URL, because /);
    const resolve = named(host.replace(/^\[(.*)\]$/, '$1'));
    expect(await judge('http://desk.example/', resolve, true)).toMatch(
      /^must be an https URL, because /,
    );
  },
);

test.each([
  '127.0.0.1',
  '10.1.2.3',
  '192.168.1.1',
  '172.16.0.1',
  '100.64.0.1',
  '[::1]',
  '[fd00::1]',
])('%s is of an own network: allowed where that is set, also without TLS', async (host) => {
  for (const scheme of ['http', 'https']) {
    expect(await judge(`${scheme}://${host}/`, nobody, true)).toBe('allowed');
  }
});

test.each([
  '169.254.169.254',
  '[fe80::1]',
  '0.0.0.0',
  '[::ffff:10.0.0.1]',
  '224.0.0.1',
  '[64:ff9b::a00:1]',
])('%s is refused even where own networks are allowed', async (host) => {
  for (const scheme of ['http', 'https']) {
    expect(await judge(`${scheme}://${host}/`, nobody, true)).toMatch(REFUSED);
  }
});
