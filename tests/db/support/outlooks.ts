import { expect } from 'vitest';
import { SAMPLE_OUTLOOK } from '../../../src/http/schemas/examples.ts';
import type { TestLedger } from '../../support/ledger.ts';
import type { Outlook } from './chain.ts';

/** Publishes the sample under other slugs, as its analyst. */
export async function publish(ledger: TestLedger, ...slugs: string[]): Promise<void> {
  for (const slug of slugs) {
    const payload = { ...SAMPLE_OUTLOOK, slug };
    const response = await ledger.call({
      method: 'POST',
      url: '/v1/outlooks',
      as: 'analyst',
      payload,
    });
    expect(response.statusCode, response.body).toBe(201);
  }
}

/** Publishes version 2 of the sample. */
export async function publishSecond(ledger: TestLedger): Promise<void> {
  const probabilities = { bear: 0.35, base: 0.4, bull: 0.25 };
  const response = await ledger.revise({ probabilities, rationale: 'Yields jumped.' });
  expect(response.statusCode, response.body).toBe(201);
}

/** All versions of an outlook, oldest first, each read whole through `read`. */
export async function historyOf(
  slug: string,
  read: (url: string) => Promise<Outlook>,
): Promise<Outlook[]> {
  const newest = await read(`/v1/outlooks/${slug}`);
  const history: Outlook[] = [];
  for (let version = 1; version <= newest.version; version += 1) {
    history.push(await read(`/v1/outlooks/${slug}/versions/${version}`));
  }
  return history;
}

/** Bodies of revisions of which none asks for the same as the one before. */
export function distinctRevision(index: number): { probabilities: object; rationale: string } {
  const bear = (1_000 + index) / 10_000;
  const bull = 0.25;
  const base = (7_500 - 1_000 - index) / 10_000;
  return { probabilities: { bear, base, bull }, rationale: `Revision ${index}.` };
}
