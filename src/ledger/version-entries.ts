import type { OutlookVersion } from '../domain/outlook.ts';
import { probabilitiesOf, type ScenarioName } from '../domain/probabilities.ts';

/** A version as the list of an outlook's versions shows it. */
export type VersionEntry = Pick<
  OutlookVersion,
  | 'version'
  | 'kind'
  | 'publishedAt'
  | 'author'
  | 'rationale'
  | 'probabilities'
  | 'previousProbabilities'
>;

export type EntryRow = Record<ScenarioName, number> & {
  version: number;
  kind: OutlookVersion['kind'];
  published_at: number;
  rationale: string;
  author_id: string;
  author_name: string;
  previous_bear: number | null;
  previous_base: number | null;
  previous_bull: number | null;
};

/** The version and its predecessor's probabilities from a row. */
export function entryOf(row: EntryRow): VersionEntry {
  const { previous_bear: bear, previous_base: base, previous_bull: bull } = row;
  return {
    version: row.version,
    kind: row.kind,
    publishedAt: new Date(row.published_at),
    author: { id: row.author_id, name: row.author_name },
    rationale: row.rationale,
    probabilities: probabilitiesOf(row),
    previousProbabilities:
      bear === null || base === null || bull === null
        ? null
        : probabilitiesOf({ bear, base, bull }),
  };
}
