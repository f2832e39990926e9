import type pg from 'pg';
import { type Bench, type Case, comparedRates, type Outcome, takeTurns } from './bench.ts';
import { Ledger } from './ledger.ts';
import { slugs } from './ledgers.ts';
import { deal, fire, type FullSpeed } from './load.ts';
import { shotsAt } from './revisions.ts';

const OUTLOOKS = 1_000;
/** One key sends everything; its budget of work would be the limit. */
const UNLIMITED = { WORK_PER_ADDRESS: '0', WORK_PER_KEY: '0' };

/** Revisions in a ledger whose log is off, as its owner can switch it, against the ledger as it is. */
export const logCostCase: Case = {
  name: 'revisions-log',
  title: 'Revisions with the transparency log, against revisions without',
  goal: { atLeast: 0.95 },
  measure,
};

async function measure(bench: Bench): Promise<Outcome> {
  const without = await newLedger(bench);
  const withLog = await newLedger(bench);
  await without.query(dropCapture);
  const stopRounds = await holdRounds(without);
  try {
    return comparedRates(await takeTurns(bench, revise(bench, without), revise(bench, withLog)));
  } finally {
    await stopRounds();
    await without.stop();
    await withLog.stop();
  }
}

async function newLedger({ report }: Bench): Promise<Ledger> {
  const ledger = await Ledger.create(report);
  await ledger.add([{ prefix: 'outlook', count: OUTLOOKS, versions: 2 }]);
  await ledger.serve(UNLIMITED);
  return ledger;
}

/** Drops the triggers that digest rows, so that no write is sealed either. */
async function dropCapture(client: pg.Client): Promise<void> {
  await client.query(`
    do $$ declare capture record; begin
      for capture in select tgrelid::regclass as relation, tgname from pg_trigger where tgname ~ '^digest' loop
        execute format('drop trigger %I on %s', capture.tgname, capture.relation);
      end loop;
    end $$`);
}

/** Holds the lock under which an instance extends the tree, until it is called. */
async function holdRounds(ledger: Ledger): Promise<() => Promise<void>> {
  let release = () => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  let isHeld = () => {};
  const held = new Promise<void>((resolve) => (isHeld = resolve));
  const session = ledger.query(async (client) => {
    await client.query(`select pg_advisory_lock(hashtextextended('outlook-ledger log', 0))`);
    isHeld();
    await released;
  });
  await Promise.race([held, session]);
  return async () => {
    release();
    await session;
  };
}

function revise({ options, generator }: Bench, ledger: Ledger) {
  const { seconds, connections } = options;
  const dealt = deal(slugs({ prefix: 'outlook', count: OUTLOOKS }), connections);
  let isWarm = false;
  return async () => {
    const { origin, pid } = await ledger.serve(UNLIMITED);
    const shots = () => ({ origin, dealt: dealt.map((own) => shotsAt(own, ledger.key)) });
    // An author's first revision of an outlook costs more: it makes the author findable there.
    const warmUp = { ...shots(), seconds: isWarm ? seconds / 5 : ('once' as const) };
    isWarm = true;
    const job: FullSpeed = { kind: 'full-speed', ...shots(), pid, seconds, status: 201, warmUp };
    return fire(generator, job);
  };
}
