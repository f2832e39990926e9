import type { NewVersion, PublishedConsensus } from '../domain/outlook.ts';
import { deltasOf, fractionsOf, type Probabilities } from '../domain/probabilities.ts';
import type { Session } from '../postgres/pool.ts';

export const APPEND_VERSIONS = {
  name: 'append-versions',
  text: `with version as (
      insert into outlook_versions (outlook_id, version, kind, framework_id, bear_bps, base_bps,
        bull_bps, author_id, rationale, recorded_at, hash, previous_hash, consensus_method,
        consensus_weights, consensus_max_age, proposal_id)
      select outlook_id, version, kind, framework_id, bear, base, bull, author_id, rationale,
        recorded_at, decode(hash, 'hex'), decode(previous_hash, 'hex'), consensus_method,
        consensus_weights, consensus_max_age, proposal_id
      from json_to_recordset($1) as given (outlook_id bigint, version int, kind text,
        framework_id bigint, bear int, base int, bull int, author_id uuid, rationale text,
        recorded_at timestamptz, hash text, previous_hash text, consensus_method text,
        consensus_weights text, consensus_max_age int, proposal_id uuid)
      order by outlook_id, version
      returning outlook_id, version, recorded_at)
    insert into events (kind, outlook_id, version, recorded_at, data)
    select event.kind, version.outlook_id, version.version, version.recorded_at, event.data
      from version join json_to_recordset($2) as event (outlook_id bigint, version int, kind text,
        data jsonb) using (outlook_id, version)
     order by version.outlook_id, version.version`,
};

/** A version to append; `before` is the previous one, null for version 1. */
export type VersionToAppend = {
  outlookId: number;
  next: NewVersion;
  frameworkId: number;
  before: Probabilities | null;
  consensus?: Pick<PublishedConsensus, 'method' | 'weights' | 'maxAge'> | undefined;
  /** The id of the approved proposal that it comes from; undefined or null for none. */
  proposalId?: string | null;
};

/**
 * Appends versions and their events. Call it in the transaction that decided them.
 * The outlooks' own rows follow by trigger.
 */
export async function appendVersions(
  session: Session,
  appended: readonly VersionToAppend[],
): Promise<void> {
  if (appended.length === 0) return;
  const rows = appended.map(({ outlookId, next, frameworkId, consensus, proposalId }) => ({
    outlook_id: outlookId,
    version: next.version,
    kind: next.kind,
    framework_id: frameworkId,
    ...next.probabilities,
    author_id: next.authorId,
    rationale: next.rationale,
    recorded_at: next.publishedAt,
    hash: hexOf(next.hash),
    previous_hash: next.previousHash && hexOf(next.previousHash),
    consensus_method: consensus?.method,
    consensus_weights: consensus?.weights,
    consensus_max_age: consensus?.maxAge,
    proposal_id: proposalId,
  }));
  const events = appended.map(({ outlookId, next, before }) => ({
    outlook_id: outlookId,
    version: next.version,
    kind: next.kind === 'created' ? 'outlook.created' : 'outlook.version.published',
    data: {
      kind: next.kind,
      probabilities: fractionsOf(next.probabilities),
      deltas: before && deltasOf(before, next.probabilities),
    },
  }));
  const values = [JSON.stringify(rows), JSON.stringify(events)];
  await session.query({ ...APPEND_VERSIONS, values });
}

function hexOf(hash: string): string {
  return hash.slice('sha256:'.length);
}
