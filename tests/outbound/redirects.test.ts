import { describe, expect, test } from 'vitest';
import { FetchFault, redirectedTo } from '../../src/outbound/fetch-file.ts';

const FROM = new URL('https://a.example/one/file.csv?x=1');

test.each([
  ['/two.csv', 'https://a.example/two.csv'],
  ['two.csv', 'https://a.example/one/two.csv'],
  ['//b.example/x', 'https://b.example/x'],
  ['https://b.example:8443/x', 'https://b.example:8443/x'],
  ['?y=2', 'https://a.example/one/file.csv?y=2'],
])('a redirect to %s leads to %s', (location, expected) => {
  expect(redirectedTo(FROM, location).href).toBe(expected);
});

describe('refused is a redirect to', () => {
  test.each([
    ['http://a.example/x', 'from https to http'],
    ['HTTP://a.example/x', 'from https to http'],
    ['https://u:p@b.example/', 'a user or password'],
    ['https://u@b.example/', 'a user or password'],
    ['ftp://b.example/x', 'other than an http or https URL'],
    ['file:///etc/passwd', 'other than an http or https URL'],
    ['data:text/csv,date', 'other than an http or https URL'],
    ['gopher://127.0.0.1:6379/_x', 'other than an http or https URL'],
    ['https://', 'other than an http or https URL'],
  ])('%s', (location, words) => {
    expect(() => redirectedTo(FROM, location)).toThrow(FetchFault);
    expect(() => redirectedTo(FROM, location)).toThrow(words);
  });
});

test('without TLS, a redirect may stay without it', () => {
  expect(redirectedTo(new URL('http://10.0.0.8/x'), 'http://10.0.0.9/y').href).toBe(
    'http://10.0.0.9/y',
  );
});
