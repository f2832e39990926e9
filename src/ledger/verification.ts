import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import { hashFramework, type Horizon } from '../domain/framework.ts';
import type { VersionKind } from '../domain/hash-chain.ts';
import type { ScenarioName } from '../domain/probabilities.ts';
import { type FoundVersion, versionFault } from '../domain/verification.ts';
import { BEGIN_SNAPSHOT, inTransaction, type Session } from '../postgres/pool.ts';
import { readFrameworksById, type StoredFramework } from './frameworks.ts';
import { STATUS_BY } from './resolved-by.ts';

/** A version that is not as the ledger wrote it. */
export type VersionFault = { slug: string; version: number; fault: string };

/** Versions in one read. */
const PAGE = 500;

type VersionRow = Record<ScenarioName, number> & {
  outlook_id: number;
  slug: string;
  symbol: string;
  horizon_from: string;
  horizon_to: string;
  version: number;
  kind: VersionKind;
  published_at: Date;
  author_id: string;
  rationale: string;
  hash: string;
  previous_hash: string | null;
  framework_id: number;
  events: number;
};

const READ_PAGE = `
  select o.id as outlook_id, o.slug, i.symbol, o.horizon_from, o.horizon_to,
    v.version, v.kind, v.recorded_at as published_at, v.author_id, v.rationale, v.framework_id,
    v.bear_bps as bear, v.base_bps as base, v.bull_bps as bull,
    'sha256:' || encode(v.hash, 'hex') as hash, 'sha256:' || encode(v.previous_hash, 'hex') as previous_hash,
    (select count(*) from events e where e.outlook_id = v.outlook_id and e.version = v.version
        and e.kind in ('outlook.created', 'outlook.version.published')) as events
  from outlook_versions v
  join outlooks o on o.id = v.outlook_id
  join instruments i on i.id = o.instrument_id
 where (v.outlook_id, v.version) > ($1, $2)
 order by v.outlook_id, v.version limit ${PAGE}`;

/**
 * Recomputes the hash chain of every outlook, as of one moment, and checks the rules that constraints enforce, which the
 * database's owner can remove.
 * @returns the number of versions, and the first fault of each outlook that has one, in the order in which the outlooks
 *   were created
 */
export async function verifyLedger(
  pool: pg.Pool,
): Promise<{ versions: number; faults: VersionFault[] }> {
  const verify = async (session: Session) => {
    await session.query('set local statement_timeout = 0');
    return verifyVersions(session);
  };
  return inTransaction(pool, verify, BEGIN_SNAPSHOT);
}

/**
 * As {@link verifyLedger}, in a transaction that sees one snapshot.
 *
 * @param onVersions takes the number of versions that were read so far
 */
export async function verifyVersions(
  session: Session,
  onVersions: (versions: number) => void = () => {},
): Promise<{ versions: number; faults: VersionFault[] }> {
  // By id, because each row is to be verified: in one transaction an id means one row.
  const frameworks = new LRUCache<number, StoredFramework>({ max: PAGE });
  const faults = new Map<number, VersionFault>();
  let before: { outlookId: number; found: FoundVersion } | null = null;
  let versions = 0;
  let [outlookId, version] = [0, 0];
  for (;;) {
    const { rows } = await session.query<VersionRow>(READ_PAGE, [outlookId, version]);
    const pages = await foundOf(session, frameworks, rows);
    for (const [index, row] of rows.entries()) {
      const found = pages[index];
      if (!found) throw new Error('a version was read but not verified');
      ({ outlook_id: outlookId, version } = row);
      const previous: FoundVersion | null = before?.outlookId === outlookId ? before.found : null;
      const fault = versionFault(previous, found);
      if (fault !== null && !faults.has(outlookId)) {
        faults.set(outlookId, { slug: row.slug, version, fault });
      }
      before = { outlookId, found };
    }
    versions += rows.length;
    onVersions(versions);
    if (rows.length < PAGE) break;
  }
  for (const { outlook_id: id, ...fault } of await otherFaults(session)) {
    if (!faults.has(id)) faults.set(id, fault);
  }
  const ordered = [...faults].toSorted(([a], [b]) => a - b).map(([, fault]) => fault);
  return { versions, faults: ordered };
}

async function foundOf(
  session: Session,
  known: LRUCache<number, StoredFramework>,
  rows: readonly VersionRow[],
): Promise<FoundVersion[]> {
  const ids = new Set(rows.map((row) => row.framework_id));
  const unknown = [...ids].filter((id) => !known.has(id));
  const read = await readFrameworksById(session, unknown);
  const recomputed = new Map<number, string>();
  const found = rows.map((row) => {
    const framework = read.get(row.framework_id) ?? known.get(row.framework_id);
    if (!framework) throw new Error(`framework ${row.framework_id} is missing`);
    const horizon: Horizon = { from: row.horizon_from, to: row.horizon_to };
    const hash =
      recomputed.get(row.framework_id) ??
      hashFramework(framework.read(), { instrument: row.symbol, horizon });
    recomputed.set(row.framework_id, hash);
    const { bear, base, bull } = row;
    return {
      slug: row.slug,
      version: row.version,
      publishedAt: row.published_at,
      authorId: row.author_id,
      rationale: row.rationale,
      kind: row.kind,
      points: { bear, base, bull },
      hash: row.hash,
      previousHash: row.previous_hash,
      frameworkHash: { stored: framework.hash, recomputed: hash },
      events: row.events,
    };
  });
  for (const [id, framework] of read) known.set(id, framework);
  return found;
}

// Each query returns the version at which something is wrong. The faults of an outlook come in this order.
const OTHER_RULES: Record<string, string> = {
  'does not match the current state of the outlook': `
    select o.id, o.slug, o.latest_version as version from outlooks o
      left join outlook_versions v on v.outlook_id = o.id and v.version = o.latest_version
     where (o.hash, o.framework_id, o.published_at, o.bear_bps, o.base_bps, o.bull_bps) is distinct from
           (v.hash, v.framework_id, v.recorded_at, v.bear_bps, v.base_bps, v.bull_bps)
        or exists (select from outlook_versions n where n.outlook_id = o.id and n.version > o.latest_version)`,
  'belongs to an outlook with a view that does not sum to 1 or has a gap in its versions': `
    select o.id, o.slug, o.latest_version as version from outlooks o
     where exists (
       select from views w where w.outlook_id = o.id and w.bear_bps + w.base_bps + w.bull_bps <> 10000)
        or exists (
       select from views w where w.outlook_id = o.id
        group by w.analyst_id having max(w.version) <> count(*))`,
  'belongs to an outlook with a gap in its resolutions or a status that contradicts them': `
    select o.id, o.slug, o.latest_version as version from outlooks o
     where (select coalesce(max(r.number), 0) <> count(*) from resolutions r where r.outlook_id = o.id)
        or o.status is distinct from (
       select case when v.kind = 'withdrawn' then v.kind else coalesce((
           select ${STATUS_BY} from resolutions r
            where r.outlook_id = o.id order by r.number desc limit 1), 'open') end
         from outlook_versions v where v.outlook_id = o.id and v.version = o.latest_version)
        or o.is_contradicted is distinct from coalesce((
       select c.outcome is not null from resolutions r
         join resolution_contradictions c on c.outlook_id = r.outlook_id and c.number = r.number
        where r.outlook_id = o.id and r.superseded_at is null
        order by c.recorded_at desc limit 1), false)`,
};

async function otherFaults(session: Session): Promise<(VersionFault & { outlook_id: number })[]> {
  const faults = [];
  for (const [fault, text] of Object.entries(OTHER_RULES)) {
    const { rows } = await session.query<{ id: number; slug: string; version: number }>(
      `select found.id, found.slug, min(found.version) as version
         from (${text}) found group by 1, 2`,
    );
    faults.push(...rows.map(({ id, slug, version }) => ({ outlook_id: id, slug, version, fault })));
  }
  return faults;
}

/** The version with a hash; null if none has it. */
export async function findByHash(
  session: Session,
  hash: string,
): Promise<{ slug: string; version: number } | null> {
  const { rows } = await session.query<{ slug: string; version: number }>(
    `select o.slug, v.version from outlook_versions v join outlooks o on o.id = v.outlook_id
      where v.hash = decode($1, 'hex') order by o.id, v.version limit 1`,
    [hash.slice('sha256:'.length)],
  );
  return rows[0] ?? null;
}
