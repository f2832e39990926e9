import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type pg from 'pg';
import { appendAudit, localWrite } from '../access/audit-log.ts';
import type { LogSettings } from '../log-settings.ts';
import { adoptCheckpoint } from '../log/adopt.ts';
import { newestCheckpoint } from '../log/checkpoints.ts';
import { type Generation, newestGeneration } from '../log/generations.ts';
import { lockLog } from '../log/locks.ts';
import {
  type GenerationPlan,
  isStartInterrupted,
  planGeneration,
  publishLastSigned,
  allowSigning,
  startGeneration,
} from '../log/new-generation.ts';
import {
  createSigningKey,
  readSigningKey,
  readStateIfAny,
  type SigningKey,
} from '../log/signing-key.ts';
import { vkeyOf } from '../domain/signed-note.ts';
import { inTransaction, type Session } from '../postgres/pool.ts';
import { print, readFileName, UsageError } from './run-command.ts';

export const LOG_KEYS_USAGE = `  npm run keys -- log
  npm run keys -- log create FILE
  npm run keys -- log adopt [--replaces-key]
  npm run keys -- log new-generation [--agreed SIZE] [--generation NUMBER]`;

type LogCommand = (pool: pg.Pool, now: Date, settings: LogSettings) => Promise<void>;

/** The command of `keys -- log …`. */
export function logCommandOf([verb, ...rest]: string[]): LogCommand {
  switch (verb) {
    case undefined:
      return showKeys;
    case 'create': {
      const file = readFileName(rest);
      return (pool, _now, settings) => createKey(pool, settings, file);
    }
    case 'adopt': {
      const { values } = parseArgs({
        args: rest,
        options: { 'replaces-key': { type: 'boolean' } },
      });
      return (pool, now, settings) =>
        adopt(pool, settings, { now, replacesKey: values['replaces-key'] ?? false });
    }
    case 'new-generation': {
      const options = { agreed: { type: 'string' }, generation: { type: 'string' } } as const;
      const { values } = parseArgs({ args: rest, options });
      const agreed = sizeOf(values.agreed);
      const least = generationOf(values.generation);
      return (pool, now, settings) => startNext(pool, settings, { now, agreed, least });
    }
    default:
      throw new UsageError(`Unknown command "log ${verb}".`);
  }
}

function sizeOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (!/^\d{1,15}$/.test(text))
    throw new UsageError('--agreed takes a size, as new-generation prints it.');
  return Number(text);
}

function generationOf(text = '1'): number {
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new UsageError('--generation takes the number of the new generation.');
  return Number(text);
}

async function showKeys(pool: pg.Pool, _now: Date, settings: LogSettings): Promise<void> {
  const log = await requireLog(pool);
  const newest = await newestCheckpoint(pool, log.generation);
  print(`Log: ${log.origin} (generation ${log.generation}), ${log.size} leaves`);
  print(
    `Newest checkpoint: ${newest === null ? 'none' : `size ${newest.size}, signed at ${newest.signedAt.toISOString()}`}`,
  );
  for (const vkey of newest?.vkeys ?? []) print(`Signed by: ${vkey}`);
  const keys = await readKeys(settings);
  for (const key of keys) {
    const state = await readStateIfAny(key);
    const { head } = state ?? { head: null };
    print(`\nKey: ${key.file}`);
    print(`Verifier key to publish: ${vkeyOf(log.origin, key.publicKey)}`);
    if (head !== null) print(`Last signed: ${head.origin}, size ${head.size}`);
    else
      print(
        state
          ? 'Last signed: nothing yet'
          : 'Its state file is missing or damaged, so it does not sign: run npm run keys -- log adopt',
      );
  }
  if (keys.length === 0)
    print('\nThis machine has no key: set LOG_SIGNING_KEY to the file of one.');
}

/** Creates a key. If LOG_SIGNING_KEY names one already, the new one goes on from what that one signed. */
async function createKey(pool: pg.Pool, settings: LogSettings, file: string): Promise<void> {
  const log = await requireLog(pool);
  const [current] = await readKeys(settings);
  const state = current ? await readStateIfAny(current) : null;
  const { publicKey } = await createSigningKey(file, state?.head ?? null);
  print(`Created ${file}. Keep it on this machine only; it belongs in no backup.`);
  print(`Verifier key to publish: ${vkeyOf(log.origin, publicKey)}`);
}

async function adopt(
  pool: pg.Pool,
  settings: LogSettings,
  { replacesKey, now }: { replacesKey: boolean; now: Date },
): Promise<void> {
  const keys = await requireKeys(settings);
  const log = await requireLog(pool);
  const sizes = await inTransaction(pool, async (session) => {
    await lockLog(session);
    const adopted = [];
    for (const key of keys) adopted.push(await adoptCheckpoint(session, log, key, replacesKey));
    if (adopted.every((size) => size === null)) {
      throw new Error(
        'every key in LOG_SIGNING_KEY has its state file, so there is nothing to adopt',
      );
    }
    await audit(session, log.generation, 'Adopted a checkpoint for the key that signs', now);
    return adopted;
  });
  for (const [index, size] of sizes.entries()) {
    if (size !== null) print(`${keys[index]?.file} signs again, from size ${size} on.`);
  }
  print(
    'If a later checkpoint was served, and the ledger has lost its leaves, the log has forked now: whoever has that checkpoint can prove it.',
  );
}

async function startNext(
  pool: pg.Pool,
  settings: LogSettings,
  { agreed, least, now }: { agreed: number | null; least: number; now: Date },
): Promise<void> {
  const keys = await requireKeys(settings);
  const started = await inTransaction(pool, async (session) => {
    await lockLog(session);
    const current = await requireLog(session);
    // An earlier run may have ended after its commit.
    if (await isStartInterrupted(session, current, keys)) return current;
    const plan = await planGeneration(session, current, { keys, host: settings.host, least });
    for (const line of describe(plan)) print(line);
    if (!isConfirmed(plan, agreed)) throw new Error(unconfirmed(plan, agreed));
    await publishLastSigned(session, current, plan, { keys, now });
    await startGeneration(session, plan, now);
    const summary = `Started generation ${plan.generation} after size ${plan.previous.agreed} of generation ${current.generation}`;
    await audit(session, plan.generation, summary, now);
    return plan;
  });
  await allowSigning(started.origin, keys);
  print(`Started generation ${started.generation}: ${started.origin}`);
  for (const { publicKey } of keys) {
    print(`Verifier key to publish: ${vkeyOf(started.origin, publicKey)}`);
  }
}

function describe({ previous, generation, origin, afterPosition }: GenerationPlan): string[] {
  return [
    `Last signed: ${previous.origin}, size ${previous.size}`,
    `The ledger still has its first ${previous.agreed} leaves.`,
    `Generation ${generation} will be ${origin}. Its leaf 0 names the log that it follows; its other leaves are the events after event ${afterPosition} of the log.`,
  ];
}

/** A log that has lost nothing may have grown since the size was printed. */
function isConfirmed(
  { previous: { agreed, size } }: GenerationPlan,
  given: number | null,
): boolean {
  return given === agreed || (given !== null && agreed === size && given < agreed);
}

function unconfirmed({ previous }: GenerationPlan, given: number | null): string {
  const what = given === null ? 'Nothing is started yet' : `The size is not ${given}`;
  return `${what}. To start the generation, run the command with --agreed ${previous.agreed}`;
}

async function requireLog(session: Session): Promise<Generation> {
  const log = await newestGeneration(session);
  if (log === null) throw new Error('the ledger has no log yet: start the service once');
  return log;
}

const readKeys = ({ keyFiles, makesKey }: LogSettings): Promise<SigningKey[]> =>
  Promise.all(keyFiles.filter((file) => !makesKey || existsSync(file)).map(readSigningKey));

async function requireKeys(settings: LogSettings): Promise<SigningKey[]> {
  const keys = await readKeys(settings);
  if (keys.length === 0)
    throw new Error('this machine has no key: set LOG_SIGNING_KEY to the file of one');
  return keys;
}

async function audit(
  session: Session,
  generation: number,
  summary: string,
  now: Date,
): Promise<void> {
  const path = `/log/${generation}`;
  await appendAudit(session, [localWrite(path, { subject: '/v1/log', summary }, now)]);
}
