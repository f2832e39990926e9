import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, openDatabase } from '../support/database.ts';

let pool: pg.Pool;

beforeAll(async () => {
  pool = openDatabase(await createDatabase({ empty: true }), 1);
});
afterAll(() => pool.end());

async function read(expression: string): Promise<unknown> {
  const { rows } = await pool.query<{ value: unknown }>(`select ${expression} as value`);
  return rows[0]?.value;
}

test.each([
  ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ['-9007199254740991', Number.MIN_SAFE_INTEGER],
  ['0', 0],
  ['null', null],
])('the int8 %s is a number', async (text, number) => {
  expect(await read(`${text}::int8`)).toBe(number);
});

test.each(['9007199254740992', '-9007199254740992', '9223372036854775807'])(
  'the int8 %s is an error rather than rounded',
  async (text) => {
    await expect(read(`'${text}'::int8`)).rejects.toThrow(
      new RangeError(`the integer ${text} is beyond what a number holds exactly`),
    );
    expect(await read('1::int8')).toBe(1); // the connection serves on
  },
);

test('counts are numbers', async () => {
  expect(await read('(select count(*) from generate_series(1, 3))')).toBe(3);
});

test.each([
  `set timezone = 'Pacific/Kiritimati'`,
  `set timezone = 'Pacific/Honolulu'`,
  `set datestyle = 'ISO, DMY'`,
  `set datestyle = 'ISO, MDY'`,
])('a date is text after %s', async (setting) => {
  await pool.query(setting);
  expect(await read(`date '2026-03-09'`)).toBe('2026-03-09');
  expect(await read('null::date')).toBeNull();
});

test.each(['German', 'SQL, DMY', 'Postgres, MDY'])(
  'a date in the style %s is an error rather than another text',
  async (style) => {
    await pool.query(`set datestyle = '${style}'`);
    await expect(read(`date '2026-03-09'`)).rejects.toThrow(/is not YYYY-MM-DD: set DateStyle/);
    await pool.query('reset datestyle');
  },
);

test('other clients of pg parse as before', () => {
  expect(pg.types.getTypeParser(pg.types.builtins.INT8)('1')).toBe('1');
});
