import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Database } from './database.ts';
import { measureInstances } from './instances.ts';
import type { Report } from './ledger.ts';
import { UsageError } from './options.ts';
import { measurePlans } from './plans.ts';
import { newFolder } from './processes.ts';
import { startService } from './service.ts';
import { fillLedger, type Size } from './whole-ledger.ts';

/** What is measured on a ledger with rows in every table, apart from the cases: each returns a Markdown table. */
export const APART = { plans: measurePlans, instances: measureInstances };
export type Apart = keyof typeof APART;

const SIZES: Record<Apart, Size> = {
  plans: { outlooks: 100_000, versions: 50, observations: 1_000_000 },
  instances: { outlooks: 10_000, versions: 5, observations: 10_000 },
};

/** Fills a ledger, or takes the one that `--data-dir` names if it has been filled, and measures. */
export async function measureApart(name: Apart, args: string[], report: Report): Promise<string> {
  const { size, dataDir } = optionsOf(name, args);
  const folder = dataDir ?? newFolder();
  if (!existsSync(`${folder}/pg18`)) await fill(folder, size, report);
  return APART[name](folder, report);
}

function optionsOf(name: Apart, args: string[]): { size: Size; dataDir: string | undefined } {
  const text = { type: 'string' } as const;
  const options = { outlooks: text, versions: text, observations: text, 'data-dir': text };
  try {
    const { values } = parseArgs({ args, options });
    const number = (key: keyof Size) => {
      const value = Number(values[key] ?? SIZES[name][key]);
      if (Number.isSafeInteger(value) && value >= 2) return value;
      throw new Error(`--${key} must be a whole number from 2.`);
    };
    const size = {
      outlooks: number('outlooks'),
      versions: number('versions'),
      observations: number('observations'),
    };
    return { size, dataDir: values['data-dir'] };
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** Durability is off while it fills: a ledger of this size takes a quarter of an hour otherwise. */
const FILLING = {
  fsync: 'off',
  full_page_writes: 'off',
  max_wal_size: '4GB',
  maintenance_work_mem: '512MB',
  work_mem: '256MB',
  shared_buffers: '512MB',
};

async function fill(dataDir: string, size: Size, report: Report): Promise<void> {
  const service = await startService(dataDir, {});
  await service.stop();
  const database = await Database.start(dataDir, FILLING);
  try {
    await database.query((client) => fillLedger(client, size, report));
  } finally {
    await database.stop();
  }
}
