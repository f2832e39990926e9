import { parseArgs } from 'node:util';
import type pg from 'pg';
import { storeMissingSkeletons } from '../access/analysts.ts';
import { issueKey, listKeys, revokeKey } from '../access/api-keys.ts';
import { appendAudit, localWrite } from '../access/audit-log.ts';
import { inTransaction } from '../postgres/pool.ts';
import { keyState, ROLES } from '../domain/api-keys.ts';
import { issuedSubject, keyRequest, revokedSubject } from '../access/key-routes.ts';
import { newKey } from '../access/key-schemas.ts';
import { eraseCommand, readEraseRequest } from './erase-name.ts';
import { parse } from '../http/validation.ts';
import type { LogSettings } from '../log-settings.ts';
import { LOG_KEYS_USAGE, logCommandOf } from './log-keys.ts';
import { DATABASE_USAGE, print, runCommand, UsageError } from './run-command.ts';

await runCommand({
  usage: `Usage:
  npm run keys -- issue --name "Small-cap desk" --role ${ROLES.join('|')} [--desks rates,credit|*]
    [--expires 2027-12-31T00:00:00Z|never]
  npm run keys -- list
  npm run keys -- revoke ID
  npm run keys -- look-alikes
  npm run keys -- erase NAME|ID [--yes]
${LOG_KEYS_USAGE}

--desks names the desks that the key acts for, or * for all. It may be left out while there is one desk (npm run desks).
A key expires after KEY_DAYS days unless --expires says when.

look-alikes lists the analysts of an earlier release whose name looks like another's. They keep it.
erase erases an analyst's name for good, and revokes their keys. It needs the owner of the tables (DATABASE_MIGRATION_URL).

log shows the keys that sign the transparency log, and what they signed last. create makes a key, adopt gives a key a new
state file, and new-generation continues the log after the ledger went back to an earlier state.

${DATABASE_USAGE}`,
  read: commandOf,
  work: async ({ direct, owner }, command, { config }) => {
    const { transparencyLog: log, keyDays } = config;
    await command(direct, new Date(), { owner, log, keyDays });
    return true;
  },
});

type Context = { owner: pg.Pool; log: LogSettings; keyDays: number };
type Command = (pool: pg.Pool, now: Date, context: Context) => Promise<void>;

function commandOf(args: string[]): Command {
  const [verb, ...rest] = args;
  switch (verb) {
    case 'issue':
      return issueCommand(rest);
    case 'list':
      parseArgs({ args: rest, options: {} });
      return list;
    case 'look-alikes':
      parseArgs({ args: rest, options: {} });
      return listLookAlikes;
    case 'log': {
      const command = logCommandOf(rest);
      return (pool, now, { log }) => command(pool, now, log);
    }
    case 'erase': {
      const request = readEraseRequest(rest);
      return (_, now, { owner }) => eraseCommand(owner, request, now);
    }
    case 'revoke':
      return revokeCommand(rest);
    default:
      throw new UsageError(verb ? `Unknown command "${verb}".` : 'Name a command.');
  }
}

function issueCommand(args: string[]): Command {
  const text = { type: 'string' } as const;
  const options = { name: text, role: text, desks: text, expires: text };
  const { values } = parseArgs({ args, options });
  const { name, role, desks, expires } = values;
  const request = parse(newKey, {
    name,
    role,
    desks: desks?.split(',').map((slug) => slug.trim()),
    expiresAt: expires === 'never' ? null : expires,
  });
  return async (pool, now, { keyDays }) => {
    const { key, issued } = await inTransaction(pool, async (session) => {
      const made = await issueKey(session, keyRequest(request, now, keyDays), now);
      const path = `/v1/keys/${made.issued.id} (issued)`;
      await appendAudit(session, [localWrite(path, issuedSubject(made.issued), now)]);
      return made;
    });
    const { analyst, id, role: granted, deskSlugs, expiresAt } = issued;
    const expiry = expiresAt === null ? 'never expires' : `expires ${expiresAt.toISOString()}`;
    print(
      `Key of ${analyst.name} (${granted}, for ${desksText(deskSlugs)}, ${expiry}, id ${id}), shown only once; keep it:`,
    );
    print(key);
  };
}

function desksText(slugs: readonly string[] | null): string {
  return slugs === null ? 'all desks' : slugs.join(', ');
}

async function list(pool: pg.Pool, now: Date): Promise<void> {
  let after: { createdAt: Date; id: string } | null = null;
  do {
    const keys = await listKeys(pool, { after, limit: 100 });
    for (const key of keys) {
      const used = key.lastUsedAt?.toISOString() ?? 'never used';
      print(
        [
          key.id,
          `${key.hint}…`,
          key.role,
          keyState(key, now),
          used,
          key.analyst.name,
          desksText(key.deskSlugs),
        ].join('\t'),
      );
    }
    after = keys.at(-1) ?? null;
  } while (after !== null);
}

async function listLookAlikes(pool: pg.Pool): Promise<void> {
  const found = await inTransaction(pool, storeMissingSkeletons);
  for (const { analyst, looksLike } of found) {
    print(`"${analyst.name}" (${analyst.id}) looks like "${looksLike.name}" (${looksLike.id}).`);
  }
  if (found.length === 0) print('No two analysts have names that look alike.');
}

function revokeCommand(args: string[]): Command {
  const { positionals } = parseArgs({ args, options: {}, allowPositionals: true });
  const [id, ...more] = positionals;
  const isId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
  if (id === undefined || more.length > 0 || !isId.test(id)) {
    throw new UsageError('revoke takes the id of one key, as list prints it.');
  }
  return async (pool, now) => {
    const { wasLastAdmin } = await inTransaction(pool, async (session) => {
      const revoked = await revokeKey(session, id, now, { keepsLastAdmin: false });
      const about = revokedSubject(revoked.key);
      await appendAudit(session, [localWrite(`/v1/keys/${id} (revoked)`, about, now)]);
      return revoked;
    });
    print(`Revoked ${id}.`);
    if (wasLastAdmin) {
      print(
        'It was the last admin key. Issue another one: npm run keys -- issue --role admin --name NAME',
      );
    }
  };
}
