import { createInterface } from 'node:readline/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type pg from 'pg';
import type { Analyst } from '../access/analysts.ts';
import { revokeKey } from '../access/api-keys.ts';
import { appendAudit, localWrite } from '../access/audit-log.ts';
import { eraseName, findByNameOrId } from '../access/erasure.ts';
import { revokedSubject } from '../access/key-routes.ts';
import { inTransaction } from '../postgres/pool.ts';
import { print, UsageError } from './run-command.ts';

/** How long requests that began with a revoked key may go on, in milliseconds: their bodies may take 30 seconds. */
const LAST_REQUESTS = 60_000;

export type EraseRequest = { nameOrId: string; isConfirmed: boolean };

/** @throws UsageError unless the arguments name one analyst */
export function readEraseRequest(args: string[]): EraseRequest {
  const { positionals, values } = parseArgs({
    args,
    options: { yes: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  const [nameOrId, ...more] = positionals;
  if (nameOrId === undefined || more.length > 0) {
    throw new UsageError(
      'erase takes one name, in quotes if it has spaces, or the id of an analyst.',
    );
  }
  return { nameOrId, isConfirmed: values.yes };
}

/**
 * Erases an analyst's name. Asks to repeat the name first, unless the request is confirmed.
 * @param owner connects as the owner of the tables
 * @throws Error if there is no such analyst, or if the name was not repeated
 */
export async function eraseCommand(
  owner: pg.Pool,
  { nameOrId, isConfirmed }: EraseRequest,
  now: Date,
): Promise<void> {
  const analyst = await findByNameOrId(owner, nameOrId);
  if (!analyst) throw new Error(`There is no analyst "${nameOrId}".`);
  if (!isConfirmed) await confirm(analyst);
  if (await revokeKeysOf(owner, analyst, now)) {
    print('Revoked the keys. Waiting a minute for the last requests with them.');
    await delay(LAST_REQUESTS);
  }
  const { replacement, openings } = await eraseName(owner, analyst, now);
  print(`Erased. The analyst ${analyst.id} is now "${replacement}".`);
  print(`Openings erased in the transparency log: ${openings}. Their leaves stay.`);
  print(
    'Texts that analysts wrote, backups, logs and what others saved may still hold the name: see docs/operate/keys.md.',
  );
}

async function confirm({ name, id }: Analyst): Promise<void> {
  print(`This erases the name of "${name}" (${id}) for good, and revokes their keys.`);
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const repeated = await lines.question('Repeat the name: ');
    if (repeated !== name) throw new Error('The names differ. Nothing was erased.');
  } finally {
    lines.close();
  }
}

/**
 * Revokes all keys of an analyst, before their name is erased: a request in progress may still store it.
 * @returns whether one of the keys was used in the last minutes
 */
async function revokeKeysOf(owner: pg.Pool, { id }: Analyst, now: Date): Promise<boolean> {
  return inTransaction(owner, async (session) => {
    const { rows } = await session.query<{ id: string; isRecent: boolean }>(
      `select id, coalesce(last_used_at > $2::timestamptz - interval '3 minutes', false) as "isRecent"
         from api_keys where analyst_id = $1 and revoked_at is null order by id`,
      [id, now.toISOString()],
    );
    for (const key of rows) {
      const { key: revoked, wasLastAdmin } = await revokeKey(session, key.id, now, {
        keepsLastAdmin: false,
      });
      await appendAudit(session, [
        localWrite(`/v1/keys/${key.id} (revoked)`, revokedSubject(revoked), now),
      ]);
      if (wasLastAdmin) print('One of the keys was the last admin key. Issue another one.');
    }
    return rows.some(({ isRecent }) => isRecent);
  });
}
