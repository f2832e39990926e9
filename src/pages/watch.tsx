import type { VNode } from 'preact';
import type { z } from 'zod';
import { decimal, percent, roundedPercent, SCENARIO_TITLES } from '../charts/text.ts';
import { describeRule } from '../domain/review.ts';
import type { condition as conditionSchema } from '../api/schemas/conditions.ts';
import type { drawdown as drawdownSchema } from '../api/schemas/drawdown.ts';
import type { evidence as evidenceSchema } from '../api/schemas/evidence.ts';
import { Badge, Chart, Moment, Outside, Prose, Section, Table, Text } from './parts.tsx';
import type { Outlook } from './current.tsx';

export type Drawdown = z.output<typeof drawdownSchema>;
export type Condition = z.output<typeof conditionSchema>;
export type Evidence = z.output<typeof evidenceSchema>;

/**
 * The drawdown labels and the current drawdown of the instrument.
 * @param drawdown null if the instrument has no series of closes
 * @param asOf the time that the page shows, if it is past
 */
export function Drawdowns(props: {
  outlook: Outlook;
  drawdown: Drawdown | null;
  asOf: string | null;
  /** The same as on the page. */
  pictures: string | null;
}): VNode | null {
  const { outlook, drawdown, asOf, pictures } = props;
  const { drawdownLabels: labels, slug } = outlook;
  const standing = drawdown && drawdownSentence(drawdown);
  if (standing === null && labels.length === 0) return null;
  return (
    <Section id="drawdown" title="Drawdown">
      {standing !== null && <p>{standing}</p>}
      {drawdown?.last && (
        <Chart
          slug={slug}
          query={{
            kind: 'drawdown',
            ...(asOf !== null && { asOf }),
            ...(pictures !== null && { v: pictures }),
          }}
          size={[760, 400]}
          alt={`The drawdown since ${drawdown.since}. ${standing}`}
        />
      )}
      {labels.length > 0 && (
        <Table
          caption="Drawdown labels"
          columns={['Label', 'From a depth of', 'Typical cause', 'Implication']}
          rows={labels.map(({ key, label, minDepth, speed, typicalCause, implication }) => [
            <>
              <Text>{label}</Text> {drawdown?.label?.key === key && <Badge kind="now">now</Badge>}
            </>,
            minDepth !== null
              ? percent(minDepth)
              : speed
                ? `${percent(speed.depth)} within ${speed.days} days`
                : 'by assessment',
            <Text>{typicalCause}</Text>,
            <Text>{implication}</Text>,
          ])}
        />
      )}
    </Section>
  );
}

/** How far an instrument is below its peak, as a sentence. */
export function drawdownSentence({
  instrument,
  last,
  peak,
  depth,
  label,
  since,
}: Drawdown): string {
  if (!last || !peak || depth === null) {
    return `There are no closes of ${instrument.symbol} since ${since}.`;
  }
  const at = `${instrument.symbol} closed at ${decimal(last.value)} on ${last.date}`;
  if (depth === 0) return `${at}, its highest since ${since}.`;
  const named = label ? `: ${label.label}` : ', too little for a label';
  return `${at}, ${roundedPercent(depth)} below its peak of ${decimal(peak.value)} on ${peak.date}${named}.`;
}

/**
 * What would prove a scenario wrong, and the state of each condition.
 * @param isPast whether the page shows a past time, for which only the states are known
 */
export function Conditions(props: {
  conditions: readonly Condition[];
  isPast: boolean;
}): VNode | null {
  const { conditions, isPast } = props;
  if (conditions.length === 0) return null;
  const columns = ['Condition', 'Speaks against', 'State', 'Decided by', 'Last change'];
  return (
    <Section id="conditions" title="What would prove it wrong">
      <Table
        caption="Invalidation conditions"
        columns={isPast ? columns.slice(0, -1) : columns}
        rows={conditions.map(({ key, statement, invalidates, state, rule, lastChange }) => [
          <>
            <Text>{statement}</Text>
            <br />
            <small>
              <code>{key}</code>
            </small>
          </>,
          <>
            <span class={`dot ${invalidates}`} aria-hidden="true" />
            {SCENARIO_TITLES[invalidates]}
          </>,
          <Badge kind={state}>{state}</Badge>,
          rule ? describeRule(rule) : "an analyst's assessment",
          ...(isPast ? [] : [lastChange ? <Change change={lastChange} /> : 'none']),
        ])}
      />
    </Section>
  );
}

function Change({ change }: { change: NonNullable<Condition['lastChange']> }): VNode {
  const { reason, recordedAt, assessment, answer } = change;
  return (
    <>
      <Text>{reason}</Text>
      {assessment && (
        <>
          {' '}
          <Text>{assessment.rationale}</Text>
        </>
      )}{' '}
      <small>
        <Moment at={recordedAt} />
        {answer && `; answered by version ${answer.version}`}
      </small>
    </>
  );
}

/** News and data, with the claims of each item. */
export function EvidenceList(props: {
  outlook: Outlook;
  evidence: readonly Evidence[];
  hasMore: boolean;
}): VNode {
  const { outlook, evidence, hasMore } = props;
  return (
    <Section id="evidence" title="Evidence">
      {evidence.length === 0 && <p>No evidence yet.</p>}
      {evidence.map((item) => (
        <Item item={item} />
      ))}
      {hasMore && (
        <p>
          <a href={`/v1/outlooks/${outlook.slug}/evidence?limit=100`}>All evidence, as JSON</a>
        </p>
      )}
    </Section>
  );
}

function Item({ item }: { item: Evidence }): VNode {
  const { headline, summary, publisher, url, publishedAt, sentiment, claims, moved } = item;
  return (
    <article class="evidence" id={`evidence-${item.id}`}>
      <h3>{url === null ? <Text>{headline}</Text> : <Outside url={url}>{headline}</Outside>}</h3>
      <p>
        <small>
          <Text>{publisher}</Text>, <Moment at={publishedAt} />
          {sentiment && (
            <>
              {' · '}sentiment <Text>{sentiment.label}</Text> ({decimal(sentiment.score)} on{' '}
              {sentiment.scale.min} to {sentiment.scale.max}, <Text>{sentiment.provider}</Text>)
            </>
          )}
          {item.corrects !== null && ' · corrects an earlier item'}
          {item.correctedBy !== null && ' · corrected by a later item'}
        </small>
      </p>
      <Prose text={summary} />
      {claims.length > 0 && (
        <ul class="claims">
          {claims.map(({ effect, target, statement, horizon, condition }) => (
            <li>
              <Badge kind={effect}>
                {effect} {target.key}
              </Badge>{' '}
              <Text>{statement}</Text>
              {condition !== null && (
                <>
                  {' '}
                  <em>
                    <Text>{condition}</Text>
                  </em>
                </>
              )}{' '}
              <small>({horizon})</small>
            </li>
          ))}
        </ul>
      )}
      {moved.length > 0 && (
        <p>
          <small>Cited by {moved.map(({ version }) => `version ${version}`).join(', ')}</small>
        </p>
      )}
    </article>
  );
}
