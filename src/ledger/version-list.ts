import type { Session } from '../postgres/pool.ts';
import { type EntryRow, entryOf, type VersionEntry } from './version-entries.ts';
import { requireOutlook } from './find-outlook.ts';
import { joinVersion } from './versions.ts';

const LARGEST_NUMBER = 2_147_483_647;

// Version numbers have no gaps, so the statement knows them before it looks them up.
const LIST_VERSIONS = {
  name: 'list-versions',
  text: `
    select v.version, v.kind, (extract(epoch from v.recorded_at) * 1000)::float8 as published_at,
      v.rationale, a.id as author_id, a.name as author_name,
      v.bear_bps as bear, v.base_bps as base, v.bull_bps as bull,
      p.bear_bps as previous_bear, p.base_bps as previous_base, p.bull_bps as previous_bull
    from outlooks o
    cross join lateral generate_series(
      least($2, o.latest_version), greatest(1, least($2, o.latest_version) - $3 + 1), -1
    ) as listed (version) ${joinVersion('listed.version')}
    join analysts a on a.id = v.author_id
   where o.slug = $1
   order by v.version desc`,
};

/**
 * The versions of an outlook before the version `before`, newest first; at most `limit`.
 * @throws DomainError `outlook-not-found`
 */
export async function listVersions(
  session: Session,
  slug: string,
  { before, limit }: { before: number | null; limit: number },
): Promise<VersionEntry[]> {
  const values = [slug, before === null ? LARGEST_NUMBER : before - 1, limit];
  const { rows } = await session.query<EntryRow>({ ...LIST_VERSIONS, values });
  if (rows.length === 0) await requireOutlook(session, slug);
  return rows.map(entryOf);
}
