import type { VNode } from 'preact';
import type { z } from 'zod';
import {
  ANSWERS,
  historySentence,
  percent,
  points,
  roundedPercent,
  SCENARIO_TITLES,
  sharesOf,
} from '../charts/text.ts';
import type { ClimatologyDocument } from '../api/climatology.ts';
import { lastDayOf } from '../domain/horizon.ts';
import { SCENARIO_NAMES, type ScenarioName } from '../domain/probabilities.ts';
import type { outlook as outlookSchema } from '../api/schemas/outlooks.ts';
import { Badge, Chart, Day, Moment, Prose, Section, Table, Text } from './parts.tsx';

export type Outlook = z.output<typeof outlookSchema>;

/** The head of the page of an outlook. */
export function Heading({ outlook }: { outlook: Outlook }): VNode {
  const { instrument, horizon, status, review, version, publishedAt, author, desk } = outlook;
  return (
    <div class="heading">
      <p class="overline">
        <Text>{instrument.name}</Text> ({instrument.symbol}) · <Day day={horizon.from} /> to{' '}
        <Day day={lastDayOf(horizon)} /> · <Badge kind={status}>{status}</Badge>
        {outlook.visibility === 'internal' && <Badge kind="internal">internal</Badge>}
      </p>
      <h1 dir="auto">{outlook.title}</h1>
      <p>
        Version {version}, published <Moment at={publishedAt} /> by <Text>{author.name}</Text>,{' '}
        <a href={`/desks/${desk.slug}`}>
          <Text>{desk.name}</Text>
        </a>
      </p>
      {review.due && (
        <div class="notice" role="note">
          <p>
            <strong>A review is due.</strong>
          </p>
          <ul>
            {review.reasons.map((reason) => (
              <li dir="auto">{reason}</li>
            ))}
          </ul>
        </div>
      )}
      {outlook.resolution && <Resolution resolution={outlook.resolution} />}
      <Neighbours outlook={outlook} />
    </div>
  );
}

/** Links to the outlooks over the horizons before and after. */
function Neighbours({ outlook: { continues, continuedBy } }: { outlook: Outlook }): VNode | null {
  if (continues === null && continuedBy === null) return null;
  const link = (slug: string) => <a href={`/outlooks/${slug}`}>{slug}</a>;
  return (
    <p>
      {continues !== null && <>Continues {link(continues)}. </>}
      {continuedBy !== null && <>Continued by {link(continuedBy)}.</>}
    </p>
  );
}

function Resolution({ resolution }: { resolution: NonNullable<Outlook['resolution']> }): VNode {
  const { outcome, realisedReturn, reason, resolvedAt } = resolution;
  return (
    <div class="notice" role="note">
      <p>
        <strong>{outcome === 'void' ? 'Void' : `Resolved: ${SCENARIO_TITLES[outcome]}`}</strong>
        {realisedReturn !== null && `, with a return of ${percent(realisedReturn)}`}, on{' '}
        <Moment at={resolvedAt} />
      </p>
      {reason !== null && <Prose text={reason} />}
    </div>
  );
}

/**
 * The probabilities and the text of each scenario.
 * @param history what history alone says; null without return bands
 * @param pictured what the chart shows, as its query
 */
export function CurrentVersion(props: {
  outlook: Outlook;
  history: ClimatologyDocument | null;
  pictured: Record<string, string>;
}): VNode {
  const { outlook, history, pictured } = props;
  const { slug, version, scenarios, directions, change, probabilities } = outlook;
  const shares = history?.probabilities;
  const directionsOf = (direction: string) =>
    SCENARIO_NAMES.filter((name) => scenarios[name].direction === direction);
  return (
    <Section id="probabilities" title="Probabilities">
      <Chart
        slug={slug}
        query={{ kind: 'scenarios', ...pictured }}
        size={[760, 300]}
        alt={`The probabilities of version ${version}: ${sharesOf(outlook.probabilities)}.`}
      />
      <Table
        caption="Scenarios"
        columns={[
          'Scenario',
          'Probability',
          ...(shares ? ['History alone'] : []),
          'Change',
          'Likely outcome',
          'Conditions',
        ]}
        rows={SCENARIO_NAMES.map((name) => [
          <ScenarioHead name={name} title={scenarios[name].title} />,
          <strong>{percent(probabilities[name])}</strong>,
          ...(shares ? [roundedPercent(shares[name])] : []),
          change.deltas ? points(change.deltas[name]) : '–',
          <Text>{scenarios[name].outcome}</Text>,
          <Text>{scenarios[name].conditions}</Text>,
        ])}
      />
      {history && <p>{historySentence(history)}</p>}
      <Table
        caption="Directions"
        columns={['Direction', 'Probability', 'Comment']}
        rows={(['higher', 'sideways', 'lower'] as const).map((direction) => [
          direction[0]?.toUpperCase() + direction.slice(1),
          percent(directions[direction]),
          directionsOf(direction).map((name) => (
            <p>
              <Text>{scenarios[name].directionComment ?? ''}</Text>
            </p>
          )),
        ])}
      />
    </Section>
  );
}

function ScenarioHead({ name, title }: { name: ScenarioName; title: string }): VNode {
  return (
    <>
      <span class={`dot ${name}`} aria-hidden="true" />
      {SCENARIO_TITLES[name]}
      <br />
      <small>
        <Text>{title}</Text>
      </small>
    </>
  );
}

/** What the version changed, why, its evidence, and its answers to triggered conditions. */
export function LastChange({ outlook }: { outlook: Outlook }): VNode {
  const { version, change, rationale, evidence, answers, author, publishedAt, consensus } = outlook;
  const moved = change.deltas
    ? SCENARIO_NAMES.filter((name) => change.deltas?.[name] !== 0).map(
        (name) => `${SCENARIO_TITLES[name]} ${points(change.deltas?.[name] ?? 0)}`,
      )
    : [];
  const kind = {
    created: 'First published',
    probabilities: 'Probabilities',
    framework: 'Wording',
    reaffirmed: 'Reaffirmed',
    withdrawn: 'Withdrawn',
  };
  return (
    <Section id="change" title="Latest change">
      <p>
        <strong>
          {kind[change.kind]}
          {moved.length > 0 && ` (in percentage points): ${moved.join(', ')}`}
        </strong>{' '}
        – <Text>{author.name}</Text>, <Moment at={publishedAt} />
      </p>
      <blockquote>
        <Prose text={rationale} />
      </blockquote>
      {evidence.length > 0 && (
        <>
          <h3>Evidence cited</h3>
          <ul>
            {evidence.map(({ headline }) => (
              <li dir="auto">{headline}</li>
            ))}
          </ul>
        </>
      )}
      {answers.length > 0 && (
        <>
          <h3>Conditions answered</h3>
          <ul>
            {answers.map(({ condition, way, reason }) => (
              <li>
                <code>{condition}</code>: {ANSWERS[way]}
                {reason !== null && (
                  <>
                    {' – '}
                    <Text>{reason}</Text>
                  </>
                )}
              </li>
            ))}
          </ul>
        </>
      )}
      {consensus && (
        <p>
          Version {version} pools{' '}
          {consensus.views.length > 0 ? `${consensus.views.length} views` : 'views of analysts'} (
          {consensus.method}, weights: {consensus.weights}
          {consensus.maxAge !== null && `, at most ${consensus.maxAge} days old`})
          {consensus.views.length > 0 && ': '}
          {consensus.views.map(({ analyst, weight }, index) => (
            <>
              {index > 0 && ', '}
              <Text>{analyst.name}</Text> {percent(weight)}
            </>
          ))}
        </p>
      )}
    </Section>
  );
}
