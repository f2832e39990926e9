import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type pg from 'pg';
import { pino } from 'pino';
import { issueKey } from '../../src/access/api-keys.ts';
import { newestGeneration, startFirstGeneration } from '../../src/log/generations.ts';
import { Signer } from '../../src/log/signer.ts';
import { createSigningKey, type SigningKey } from '../../src/log/signing-key.ts';
import { extendTree } from '../../src/log/tree.ts';
import { inTransaction } from '../../src/postgres/pool.ts';
import { sequenceEvents } from '../../src/postgres/outbox.ts';
import { createDatabase, openDatabase, serviceUrl } from './database.ts';

export const HOST = 'outlooks.example';

/** A ledger without a service: its log grows when a test says so. */
export type Log = { url: string; pool: pg.Pool; owner: pg.Pool };

/** @param from the URL of a ledger to copy, to which nobody is connected */
export async function openLog(from?: string): Promise<Log> {
  return reopenLog(await createDatabase(from === undefined ? {} : { from }));
}

export async function reopenLog(url: string): Promise<Log> {
  const log = { url, pool: openDatabase(serviceUrl(url), 4), owner: openDatabase(url, 1) };
  if ((await newestGeneration(log.pool)) === null) {
    await startFirstGeneration(log.pool, HOST, new Date());
  }
  return log;
}

export const closeLog = ({ pool, owner }: Log) => Promise.all([pool.end(), owner.end()]);

let named = 0;

/** Writes so many events and appends their leaves, and those of all events before. */
export async function grow({ pool }: Log, events: number): Promise<void> {
  for (let count = 0; count < events; count += 1) {
    const name = `Desk ${process.pid} ${(named += 1)}`;
    const request = { name, role: 'feed', expiresAt: null } as const;
    await inTransaction(pool, (session) => issueKey(session, request, new Date()));
  }
  await sequenceEvents(pool);
  await extendTree(pool);
}

/** Lets a new signer sign the head of the log once. */
export async function signOnce({ pool }: Log, keys: readonly SigningKey[]): Promise<Signer> {
  const signer = new Signer({ pool, keys, now: () => new Date(), log: pino({ level: 'silent' }) });
  const head = await newestGeneration(pool);
  if (head === null) throw new Error('the log has no generation');
  await signer.sign(head);
  return signer;
}

const folders: string[] = [];

/** The path of a file in a folder of its own. */
export function newFile(name = 'key.pem'): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'outlook-ledger-keys-'));
  folders.push(folder);
  return path.join(folder, name);
}

export const newKey = (): Promise<SigningKey> => createSigningKey(newFile(), null);

export function removeFiles(): void {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
}
