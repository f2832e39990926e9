import type { VNode } from 'preact';
import { percent, SCENARIO_TITLES } from '../charts/text.ts';
import { SCENARIO_NAMES } from '../domain/probabilities.ts';
import { Section, Text } from './parts.tsx';
import type { Outlook } from './current.tsx';
import type { Condition, Evidence } from './watch.tsx';

/**
 * The form for revising the probabilities. JavaScript shows it, because a key must be sent in a header and
 * three sliders must move together.
 * @param etag of the current version, which the revision is based on
 */
export function Revise(props: {
  outlook: Outlook;
  etag: string;
  conditions: readonly Condition[];
  evidence: readonly Evidence[];
}): VNode {
  const { outlook, etag, conditions, evidence } = props;
  const { slug, version, probabilities } = outlook;
  const owed = conditions.filter(
    ({ state, lastChange }) => state === 'triggered' && lastChange?.answer === null,
  );
  const points = Object.fromEntries(
    SCENARIO_NAMES.map((name) => [`data-${name}`, Math.round(probabilities[name] * 10_000)]),
  );
  return (
    <div id="revise-panel" hidden>
      <Section id="revise" title="Revise the probabilities">
        <form
          id="revise-form"
          data-slug={slug}
          data-etag={etag}
          data-version={version}
          {...points}
          novalidate
          autocomplete="off"
        >
          <label>
            Your key (olk_…). It stays in this page.
            <input type="password" name="key" autocomplete="off" spellcheck={false} required />
          </label>
          <fieldset>
            <legend>Probabilities, which always sum to 100%</legend>
            {SCENARIO_NAMES.map((name) => (
              <div class={`slider ${name}`}>
                <label for={`slider-${name}`}>{SCENARIO_TITLES[name]}</label>
                <input
                  type="range"
                  id={`slider-${name}`}
                  name={name}
                  min={0}
                  max={10_000}
                  step={1}
                  aria-valuetext={percent(probabilities[name])}
                  value={Math.round(probabilities[name] * 10_000)}
                />
                <input
                  type="number"
                  name={`${name}-percent`}
                  aria-label={`${SCENARIO_TITLES[name]} in percent`}
                  min={0}
                  max={100}
                  step={0.01}
                  value={Math.round(probabilities[name] * 10_000) / 100}
                />
              </div>
            ))}
          </fieldset>
          <label>
            <input type="checkbox" name="reaffirm" autocomplete="off" />
            Reaffirm the current probabilities, which answers every triggered condition
          </label>
          <label>
            Why
            <textarea name="rationale" rows={4} maxlength={20_000} required />
          </label>
          <div id="owed">
            {owed.map(({ key, invalidates, statement }) => (
              <label>
                <span>
                  <code>{key}</code> is triggered and invalidates the {invalidates} scenario:{' '}
                  <Text>{statement}</Text> If you keep its probability, say why:
                </span>
                <textarea name="acknowledges" data-condition={key} rows={2} maxlength={20_000} />
              </label>
            ))}
          </div>
          <div id="citable">
            {evidence.length > 0 && (
              <fieldset>
                <legend>Evidence</legend>
                {evidence.map(({ id, headline }) => (
                  <label>
                    <input type="checkbox" name="evidence" value={id} />
                    <Text>{headline}</Text>
                  </label>
                ))}
              </fieldset>
            )}
          </div>
          <button type="submit">Preview the change</button>
        </form>
        <div id="preview" hidden tabindex={-1} aria-labelledby="preview-title">
          <h3 id="preview-title">You are about to publish</h3>
          <table>
            <caption>The change</caption>
            <thead>
              <tr>
                <th scope="col">Scenario</th>
                <th scope="col">Now</th>
                <th scope="col">New</th>
                <th scope="col">Change</th>
              </tr>
            </thead>
            <tbody id="preview-rows" />
          </table>
          <p id="preview-why" dir="auto" />
          <ul id="preview-more" />
          <div class="buttons">
            <button type="button" id="publish">
              Publish
            </button>
            <button type="button" id="back" class="secondary">
              Back
            </button>
          </div>
        </div>
        <div id="refusal" role="alert" tabindex={-1} />
      </Section>
    </div>
  );
}
