import { describe, expect, test } from 'vitest';
import { SegmentedLru } from '../../../src/http/response-cache/segmented-lru.ts';

const MOST = 1_000;
const cacheOf = (onRemove: (value: string, key: number) => void = () => {}) =>
  new SegmentedLru<number, string>({ maxSize: MOST, sizeOf: (text) => text.length, onRemove });
const text = 'x'.repeat(10);

describe('a segmented cache', () => {
  test('keeps what is read again, however much is read once', () => {
    const cache = cacheOf();
    for (let key = 0; key < 10; key += 1) {
      cache.set(key, text);
      cache.get(key);
    }
    for (let key = 10; key < 10_000; key += 1) cache.set(key, text);
    for (let key = 0; key < 10; key += 1) expect(cache.peek(key)).toBe(text);
    expect(cache.size).toBe(100 + MOST / 5);
    expect(cache.count).toBe(30);
  });

  test('never exceeds its size, and reports each entry that leaves it once', () => {
    const [inside, left] = [new Set<number>(), new Set<number>()];
    const cache = cacheOf((_, key) => {
      expect([key, inside.delete(key)]).toEqual([key, true]);
      left.add(key);
    });
    for (let turn = 0; turn < 20_000; turn += 1) {
      const key = (turn * 7_919) % 211;
      if (turn % 3 === 0) {
        cache.set(key, 'x'.repeat(1 + ((turn * 31) % 60)));
        inside.add(key);
      } else if (turn % 17 === 0) cache.delete(key);
      expect([key, cache.get(key) !== undefined]).toEqual([key, inside.has(key)]);
      expect(cache.size).toBeLessThanOrEqual(MOST);
      expect(cache.count).toBe(inside.size);
    }
    expect(left.size).toBe(211);
    cache.clear();
    expect([cache.count, cache.size, inside.size]).toEqual([0, 0, 0]);
  });

  test('drops an entry that is replaced by one that is too large', () => {
    const left: number[] = [];
    const cache = cacheOf((_, key) => left.push(key));
    for (const key of [1, 2]) cache.set(key, text);
    cache.get(2);
    for (const key of [1, 2, 3]) cache.set(key, 'x'.repeat(MOST / 5 + 1));
    expect([cache.count, cache.size]).toEqual([0, 0]);
    expect(left).toEqual([1, 2]);
  });

  test('replaces an entry where it is', () => {
    const left: number[] = [];
    const cache = cacheOf((_, key) => left.push(key));
    cache.set(1, text);
    cache.get(1);
    cache.set(1, `${text}${text}`);
    for (let key = 2; key < 1_000; key += 1) cache.set(key, text);
    expect(cache.get(1)).toBe(`${text}${text}`);
    expect(left).not.toContain(1);
  });
});
