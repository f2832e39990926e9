import { parseArgs } from 'node:util';
import type pg from 'pg';
import { appendAudit, localWrite } from '../access/audit-log.ts';
import { addDesk, listDesks, renameDesk } from '../access/desks.ts';
import { newDesk } from '../api/schemas/desks.ts';
import { parse } from '../http/validation.ts';
import { inTransaction } from '../postgres/pool.ts';
import { DATABASE_USAGE, print, runCommand, UsageError } from './run-command.ts';

await runCommand({
  usage: `Usage:
  npm run desks -- list
  npm run desks -- add SLUG NAME
  npm run desks -- rename SLUG NAME

A desk keeps its slug for good. Keys and tokens say which desks they act for (npm run keys).

${DATABASE_USAGE}`,
  read: commandOf,
  work: async ({ direct }, command) => {
    await command(direct, new Date());
    return true;
  },
});

type Command = (pool: pg.Pool, now: Date) => Promise<void>;

function commandOf(args: string[]): Command {
  const [verb, ...rest] = args;
  switch (verb) {
    case 'list':
      parseArgs({ args: rest, options: {} });
      return list;
    case 'add': {
      const desk = deskOf(rest);
      return (pool, now) =>
        record(pool, now, `Added "${desk.name}"`, (session) => addDesk(session, desk, now));
    }
    case 'rename': {
      const { slug, name } = deskOf(rest);
      return (pool, now) =>
        record(pool, now, `Renamed to "${name}"`, (session) => renameDesk(session, slug, name));
    }
    default:
      throw new UsageError(verb ? `Unknown command "${verb}".` : 'Name a command.');
  }
}

function deskOf(args: string[]) {
  const { positionals } = parseArgs({ args, options: {}, allowPositionals: true });
  const [slug, name, ...more] = positionals;
  if (slug === undefined || name === undefined || more.length > 0) {
    throw new UsageError(
      'Give the slug and the name of the desk; put a name of several words in quotes.',
    );
  }
  return parse(newDesk, { slug, name });
}

async function record(
  pool: pg.Pool,
  now: Date,
  summary: string,
  work: (session: pg.PoolClient) => Promise<{ slug: string; name: string }>,
): Promise<void> {
  const { slug, name } = await inTransaction(pool, async (session) => {
    const desk = await work(session);
    const subject = `/v1/desks/${desk.slug}`;
    await appendAudit(session, [localWrite(subject, { subject, summary }, now)]);
    return desk;
  });
  print(`${slug}\t${name}`);
}

async function list(pool: pg.Pool): Promise<void> {
  let after: string | null = null;
  do {
    const desks = await listDesks(pool, { after, limit: 100 });
    for (const { slug, name } of desks) print(`${slug}\t${name}`);
    after = desks.at(-1)?.slug ?? null;
  } while (after !== null);
}
