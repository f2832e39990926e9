import type { ComponentChildren, VNode } from 'preact';
import type { z } from 'zod';
import { decimal, percent, points, SCENARIO_TITLES, sharesOf } from '../charts/text.ts';
import { SCENARIO_NAMES } from '../domain/probabilities.ts';
import type { outlookDiff } from '../api/schemas/diffs.ts';
import type { versionEntry } from '../api/schemas/versions.ts';
import type { outlookScores } from '../api/schemas/scores.ts';
import { Chart, Moment, Section, Table, Text } from './parts.tsx';
import { type Outlook } from './current.tsx';

export type VersionEntry = z.output<typeof versionEntry>;
export type Diff = z.output<typeof outlookDiff>;
export type Scores = Omit<z.output<typeof outlookScores>, 'nextCursor'> & {
  /** The number of the newest version that is scored. */
  newest: number;
};

/** How the probabilities moved, version by version, with links to each. */
export function History(props: {
  outlook: Outlook;
  latestVersion: number;
  /** What the chart shows, as its query. */
  pictured: Record<string, string>;
  versions: readonly VersionEntry[];
  /** The version before which the list continues; null if this is its end. */
  olderThan: number | null;
}): VNode {
  const { outlook, latestVersion, pictured, versions, olderThan } = props;
  const { slug, version } = outlook;
  return (
    <Section id="history" title="How the probabilities moved">
      <Chart
        slug={slug}
        query={{ kind: 'history', ...pictured }}
        size={[760, 400]}
        alt={`The probabilities from version 1 to version ${version}, ending with ${sharesOf(outlook.probabilities)}.`}
      />
      <Table
        caption={`Versions (${latestVersion} in all)`}
        columns={['Version', ...SCENARIO_NAMES.map((name) => SCENARIO_TITLES[name]), 'Why']}
        rows={versions.map((entry) => [
          <>
            <a href={`/outlooks/${slug}?version=${entry.version}`}>Version {entry.version}</a>
            <br />
            <small>
              <Moment at={entry.publishedAt} />, <Text>{entry.author.name}</Text>
            </small>
          </>,
          ...SCENARIO_NAMES.map((name) => (
            <>
              {percent(entry.probabilities[name])}{' '}
              {entry.change.deltas && entry.change.deltas[name] !== 0 && (
                <small>({points(entry.change.deltas[name])})</small>
              )}
            </>
          )),
          <div class="clamped">
            <Text>{entry.rationale}</Text>
          </div>,
        ])}
      />
      {olderThan !== null && (
        <p>
          <a href={`/outlooks/${slug}?olderThan=${olderThan}#history`}>Older versions</a>
        </p>
      )}
    </Section>
  );
}

/** Navigation to the adjacent versions, to any time and to a comparison; forms, so that it works without JavaScript. */
export function TimeTravel(props: {
  outlook: Outlook;
  latestVersion: number;
  against: number | null;
  day: string | null;
}): VNode {
  const { outlook, latestVersion, against, day } = props;
  const { slug, version } = outlook;
  const to = (number: number) => `/outlooks/${slug}?version=${number}`;
  return (
    <nav class="travel" aria-label="Versions">
      <p class="steps">
        {version > 1 ? <a href={to(version - 1)}>← Version {version - 1}</a> : <span />}
        <span>
          Version {version} of {latestVersion}
          {version < latestVersion && (
            <>
              {' '}
              (<a href={`/outlooks/${slug}`}>current version</a>)
            </>
          )}
        </span>
        {version < latestVersion ? <a href={to(version + 1)}>Version {version + 1} →</a> : <span />}
      </p>
      <div class="forms">
        <form action={`/outlooks/${slug}`} method="get">
          <label>
            As of the end of (UTC)
            <input type="date" name="asOf" required value={day ?? undefined} />
          </label>
          <button type="submit" class="secondary">
            Show
          </button>
        </form>
        {latestVersion > 1 && (
          <form action={`/outlooks/${slug}#diff`} method="get">
            <input type="hidden" name="version" value={version} />
            <label>
              Compare version {version} with
              <input
                type="number"
                name="against"
                required
                min={1}
                max={latestVersion}
                value={against ?? (version > 1 ? version - 1 : 2)}
              />
            </label>
            <button type="submit" class="secondary">
              Compare
            </button>
          </form>
        )}
      </div>
    </nav>
  );
}

const LISTS: Record<keyof Diff['lists'], string> = {
  headwinds: 'Headwinds',
  drawdownLabels: 'Drawdown labels',
  invalidationConditions: 'Invalidation conditions',
  risks: 'Risks',
  positioning: 'Positioning',
  metrics: 'Figures',
  faqs: 'Questions',
  references: 'References',
};

/** The difference between two versions. */
export function Comparison({ diff }: { diff: Diff }): VNode {
  const { from, to, probabilities, fields, lists } = diff;
  const changed = Object.entries(LISTS).flatMap(([name, title]) => {
    const rows = listRows(lists[name as keyof Diff['lists']]);
    return rows.length > 0 ? [{ title, rows }] : [];
  });
  return (
    <Section id="diff" title={`From version ${from.version} to version ${to.version}`}>
      <Table
        caption="Probabilities"
        columns={['Scenario', `Version ${from.version}`, `Version ${to.version}`, 'Change']}
        rows={SCENARIO_NAMES.map((name) => [
          SCENARIO_TITLES[name],
          percent(probabilities.from[name]),
          percent(probabilities.to[name]),
          points(probabilities.deltas[name]),
        ])}
      />
      {fields.length > 0 && (
        <Table
          caption="Wording"
          columns={['Field', `Version ${from.version}`, `Version ${to.version}`]}
          rows={fields.map(({ pointer, before, after }) => [
            <code>{pointer.slice(1)}</code>,
            <Value value={before} />,
            <Value value={after} />,
          ])}
        />
      )}
      {changed.map(({ title, rows }) => (
        <Table
          caption={title}
          columns={['Entry', `Version ${from.version}`, `Version ${to.version}`]}
          rows={rows}
        />
      ))}
      {fields.length === 0 && changed.length === 0 && <p>The wording is the same.</p>}
    </Section>
  );
}

function listRows(list: Diff['lists'][keyof Diff['lists']]): ComponentChildren[][] {
  const { added, removed, altered, moved } = list;
  return [
    ...removed.map(({ key, entry }) => [<Text>{key}</Text>, <Value value={entry} />, 'absent']),
    ...added.map(({ key, entry }) => [<Text>{key}</Text>, 'absent', <Value value={entry} />]),
    ...altered.flatMap(({ key, fields }) =>
      fields.map(({ pointer, before, after }) => [
        <>
          <Text>{key}</Text> <code>{pointer.slice(1)}</code>
        </>,
        <Value value={before} />,
        <Value value={after} />,
      ]),
    ),
    ...moved.map(({ key, from, to }) => [
      <Text>{key}</Text>,
      `place ${from + 1}`,
      `place ${to + 1}`,
    ]),
  ];
}

/** A value of a field, or the members of an entry. */
function Value({ value }: { value: unknown }): VNode {
  if (value === null || value === undefined) return <span>–</span>;
  if (typeof value === 'string') return <Text>{value}</Text>;
  if (typeof value !== 'object') return <Text>{JSON.stringify(value)}</Text>;
  const parts = Object.entries(value).filter(([, part]) => part !== null && part !== '');
  return (
    <dl class="entry">
      {parts.map(([name, part]) => (
        <div>
          <dt>{name}</dt>
          <dd>
            <Text>{typeof part === 'string' ? part : JSON.stringify(part)}</Text>
          </dd>
        </div>
      ))}
    </dl>
  );
}

const RULES = {
  brier: 'Brier',
  logarithmic: 'Logarithmic',
  rankedProbability: 'Ranked probability',
};
type Rule = keyof typeof RULES;
const RULE_NAMES = Object.keys(RULES) as Rule[];
const scoreText = (value: number | null): string =>
  value === null ? '–' : decimal(Math.round(value * 1e4) / 1e4);

/** The scores of the versions of a resolved outlook. */
export function ScoreTable(props: {
  scores: Scores;
  slug: string;
  pictures: string | null;
}): VNode {
  const { slug, pictures } = props;
  const { outlook, versions, newest } = props.scores;
  return (
    <Section id="scores" title="Scores">
      <p>
        Three proper scoring rules: 0 is perfect, lower is better. The mean weights each version by
        the share of the horizon during which it was current. Skill compares with uniform thirds: 0
        is no better, 1 is perfect.
      </p>
      <Table
        caption="Scores"
        columns={['Of', 'Current for', ...RULE_NAMES.map((rule) => RULES[rule])]}
        rows={[
          [
            'Mean',
            shareText(outlook.coverage),
            ...RULE_NAMES.map((r) => scoreText(outlook.mean[r])),
          ],
          ['Skill', '', ...RULE_NAMES.map((rule) => scoreText(outlook.skill[rule]))],
          ...versions.map(({ version, share, scores: of }) => [
            `Version ${version}`,
            shareText(share),
            ...RULE_NAMES.map((rule) => scoreText(of[rule])),
          ]),
        ]}
      />
      {newest > versions.length && (
        <p>
          <a href={`/v1/outlooks/${slug}/scores`}>Scores of all {newest} versions</a>
        </p>
      )}
      <Chart
        slug={slug}
        query={{ kind: 'calibration', ...(pictures !== null && { v: pictures }) }}
        size={[760, 520]}
        alt="The author's forecast probabilities against how often the outcomes occurred."
      />
    </Section>
  );
}

function shareText(share: number | null): string {
  return share === null ? '–' : `${decimal(Math.round(share * 1000) / 10)}% of the horizon`;
}
