import type pg from 'pg';
import type { BaseBand } from '../../src/domain/outcome.ts';
import { CLOSES, DAY, FROM, HORIZON, TO, type World } from './forecast-worlds.ts';
import { OutlookWriter, type Resolved } from './outlook-writer.ts';

/** Writes a world into a ledger, as plain rows that its triggers let pass. */
export class WorldWriter {
  readonly analysts: readonly string[];
  readonly #client: pg.Pool | pg.ClientBase;
  readonly #instruments: Record<'with' | 'without', number>;
  /** Leaves out what the release before can't store. */
  readonly #isOld: boolean;
  #count = 0;

  private constructor(
    client: pg.Pool | pg.ClientBase,
    analysts: readonly string[],
    instruments: Record<'with' | 'without', number>,
    isOld: boolean,
  ) {
    this.#client = client;
    this.analysts = analysts;
    this.#instruments = instruments;
    this.#isOld = isOld;
  }

  static async open(client: pg.Pool | pg.ClientBase, { isOld = false } = {}): Promise<WorldWriter> {
    const { rows: analysts } = await client.query<{ id: string }>(
      `insert into analysts (name, created_at) select 'Analyst ' || n, '2020-01-01' from generate_series(1, 3) n
       returning id`,
    );
    const { rows: instruments } = await client.query<{ id: number; closes_id: number | null }>(
      `with closes as (
         insert into series (key, name, unit, frequency, source, created_at)
         values ('closes', 'Closes', 'points', 'daily', 'A desk', '2020-01-01') returning id)
       insert into instruments (symbol, name, kind, closes_id, created_at)
       select symbol, 'An index', 'index', closes_id, '2020-01-01'::timestamptz
         from (select 'WITH' as symbol, id as closes_id from closes union all select 'WITHOUT', null) one
       returning id, closes_id`,
    );
    const found = instruments.find((one) => one.closes_id !== null);
    const other = instruments.find((one) => one.closes_id === null);
    await client.query(
      `insert into observations (series_id, date, value, provenance, recorded_at)
       select $1, date, value, 'sourced', '2026-01-10T22:00Z' from json_to_recordset($2) as g (date date, value float8)`,
      [found?.closes_id, JSON.stringify(CLOSES)],
    );
    const ids = { with: found?.id ?? 0, without: other?.id ?? 0 };
    return new WorldWriter(
      client,
      analysts.map(({ id }) => id),
      ids,
      isOld,
    );
  }

  async #insert(table: string, row: Record<string, unknown>): Promise<void> {
    const keys = Object.keys(row)
      .map((key) => `"${key}"`)
      .join(', ');
    await this.#client.query(
      `insert into ${table} (${keys}) select ${keys} from json_populate_record(null::${table}, $1)`,
      [JSON.stringify(row)],
    );
  }

  async #framework(outlook: number, band: BaseBand | null): Promise<number> {
    const { rows } = await this.#client.query<{ id: number }>(
      `with bands as (
         insert into scenarios (framework_id, name, title, outcome, conditions, direction, return_min, return_max)
         select f.id, s.name, 'T', 'O', 'C', 'lower', s.low, s.high
           from nextval('frameworks_id_seq') as f (id),
             (values ('bear', null, $2::float8), ('base', $2, $3::float8), ('bull', $3, null)) as s (name, low, high)
         returning framework_id)
       insert into frameworks (id, outlook_id, hash, title, summary, risks, positioning, metrics, faqs, "references")
       select framework_id, $1::bigint, sha256('f'), 'T', 'S', '[]', '[]', '[]', '[]', '[]' from (select distinct framework_id from bands) f
       returning id`,
      [outlook, band?.low ?? null, band?.high ?? null],
    );
    return rows[0]?.id ?? 0;
  }

  /** The id of the new outlook, and its resolutions that have an outcome. */
  async write({ steps, hasCloses }: World): Promise<{ id: number; resolved: Resolved[] }> {
    this.#count += 1;
    const { rows } = await this.#client.query<{ id: number }>(
      `insert into outlooks (slug, instrument_id, horizon_from, horizon_to, published_at)
       values ($1, $2, $3, $4, '2026-01-09') returning id`,
      [
        `world-${this.#count}`,
        this.#instruments[hasCloses ? 'with' : 'without'],
        HORIZON.from,
        HORIZON.to,
      ],
    );
    const id = rows[0]?.id ?? 0;
    const world = new OutlookWriter({
      id,
      analysts: this.analysts,
      insert: (table, row) => this.#insert(table, row),
      newFramework: (band) => this.#framework(id, band),
      hasCloses,
      isOld: this.#isOld,
    });
    let at = FROM - 2 * DAY;
    for (const [index, step] of steps.entries()) {
      at = Math.round(at + step.hours * 3_600_000);
      await world.apply(index === 0 ? { ...step, kind: 'revise' } : step, at);
    }
    const last = steps.at(-1);
    // Whatever happened, an outcome comes in the end.
    if (last)
      await world.apply(
        { ...last, kind: 'resolve', outcome: last.outcome ?? 'bull' },
        Math.max(at, TO + DAY),
      );
    return { id, resolved: world.resolved };
  }
}
