import { sql } from 'drizzle-orm';
import { analystNamed, hasKeys, issueKey } from './db/api-keys.ts';
import type { Database, Db } from './db/client.ts';
import { createInstrument } from './db/instruments.ts';
import { DomainError, type DomainErrorCode } from './domain/errors.ts';
import { publishOutlook } from './http/outlooks.ts';
import { SAMPLE_INSTRUMENT, SAMPLE_OUTLOOK } from './http/schemas/examples.ts';
import { newInstrument } from './http/schemas/instruments.ts';
import { newOutlook } from './http/schemas/outlooks.ts';
import { parse } from './http/validation.ts';

/**
 * Issues an admin key where none was ever issued, and hands it to `show`. The key counts only once
 * `show` returns, so a key that was not shown can't lock everybody out.
 */
export async function issueFirstKey(db: Db, now: Date, show: (key: string) => void): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.execute(sql`lock table api_keys in share row exclusive mode`);
    if (await hasKeys(tx)) return;
    const { key } = await issueKey(tx, { name: 'Admin', role: 'admin', expiresAt: null }, now);
    show(key);
  });
}

/** Publishes the sample outlook, as its POST would, unless it is there. */
export async function loadSamples({ db, pool }: Database, now: Date): Promise<void> {
  const author = await analystNamed(db, 'Sample desk', now);
  await unlessThere('symbol-taken', () =>
    createInstrument(db, parse(newInstrument, SAMPLE_INSTRUMENT), now),
  );
  await unlessThere('slug-taken', () =>
    publishOutlook(pool, parse(newOutlook, SAMPLE_OUTLOOK), author, () => now),
  );
}

async function unlessThere(code: DomainErrorCode, create: () => Promise<unknown>): Promise<void> {
  try {
    await create();
  } catch (error) {
    if (!(error instanceof DomainError && error.code === code)) throw error;
  }
}
