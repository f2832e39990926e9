import type { VNode } from 'preact';
import { decimal } from '../charts/text.ts';
import { Day, Outside, Prose, Section, Table, Text } from './parts.tsx';
import type { Outlook } from './current.tsx';

/** The figures that an outlook rests on. */
export function Metrics({ metrics }: { metrics: Outlook['metrics'] }): VNode | null {
  if (metrics.length === 0) return null;
  return (
    <Section id="metrics" title="Figures">
      <dl class="figures">
        {metrics.map(({ name, value, unit, display, source, asOf, provenance }) => (
          <div>
            <dt>
              <Text>{name}</Text>
            </dt>
            <dd>
              <strong>
                <Text>{display ?? `${decimal(value ?? 0)}${unit ? ` ${unit}` : ''}`}</Text>
              </strong>
              <small>
                {source !== null && <Text>{source}</Text>}
                {asOf !== null && (
                  <>
                    , <Day day={asOf} />
                  </>
                )}{' '}
                ({provenance})
              </small>
            </dd>
          </div>
        ))}
      </dl>
    </Section>
  );
}

export function Summary({ summary }: { summary: string }): VNode {
  return (
    <Section id="summary" title="In short">
      <Prose text={summary} />
    </Section>
  );
}

export function Risks({ risks }: { risks: Outlook['risks'] }): VNode | null {
  if (risks.length === 0) return null;
  return (
    <Section id="risks" title="Risks">
      <Table
        caption="Risk areas"
        columns={['Risk area', 'Why it matters', 'Current read']}
        rows={risks.map(({ area, whyItMatters, currentRead }) => [
          <Text>{area}</Text>,
          <Text>{whyItMatters}</Text>,
          <Text>{currentRead}</Text>,
        ])}
      />
    </Section>
  );
}

export function Headwinds({ headwinds }: { headwinds: Outlook['headwinds'] }): VNode | null {
  if (headwinds.length === 0) return null;
  return (
    <Section id="headwinds" title="Headwinds">
      <ol class="headwinds">
        {headwinds.map(({ title, description }) => (
          <li>
            <h3 dir="auto">{title}</h3>
            <Prose text={description} />
          </li>
        ))}
      </ol>
    </Section>
  );
}

export function Positioning(props: { positioning: Outlook['positioning'] }): VNode | null {
  const { positioning } = props;
  if (positioning.length === 0) return null;
  return (
    <Section id="positioning" title="Positioning">
      <Table
        caption="By type of investor"
        columns={['Investor', 'Prudent approach', 'Watchpoints']}
        rows={positioning.map(({ investorType, approach, watchpoints }) => [
          <Text>{investorType}</Text>,
          <Text>{approach}</Text>,
          <ul>
            {watchpoints.map((one) => (
              <li dir="auto">{one}</li>
            ))}
          </ul>,
        ])}
      />
    </Section>
  );
}

/** The end of the page of an outlook: questions, sources, methodology and disclaimer. */
export function Endnotes({ outlook }: { outlook: Outlook }): VNode {
  const { faqs, references, methodology, disclaimer } = outlook;
  return (
    <>
      {faqs.length > 0 && (
        <Section id="questions" title="Questions">
          {faqs.map(({ question, answer }) => (
            <details>
              <summary dir="auto">{question}</summary>
              <Prose text={answer} />
            </details>
          ))}
        </Section>
      )}
      {methodology !== null && (
        <Section id="methodology" title="Methodology">
          <Prose text={methodology} />
        </Section>
      )}
      {references.length > 0 && (
        <Section id="references" title="References">
          <ul>
            {references.map(({ title, publisher, url, publishedOn }) => (
              <li>
                {url === null ? <Text>{title}</Text> : <Outside url={url}>{title}</Outside>}
                {publisher !== null && (
                  <>
                    , <Text>{publisher}</Text>
                  </>
                )}
                {publishedOn !== null && (
                  <>
                    , <Day day={publishedOn} />
                  </>
                )}
              </li>
            ))}
          </ul>
        </Section>
      )}
      {disclaimer !== null && (
        <Section id="disclaimer" title="Disclaimer">
          <Prose text={disclaimer} />
        </Section>
      )}
    </>
  );
}
