import type { LightMyRequestResponse } from 'fastify';
import { expect } from 'vitest';
import type { TestLedger } from './ledger.ts';
import { createOutlook, outlookBody, send } from './requests.ts';

type Bounds = { low: number; high: number };
const HORIZON = { from: '2026-03-31', to: '2027-03-31' };

/** The sample's scenarios with return bands around the base band [low, high). */
export function bandedScenarios({ low, high }: Bounds): Record<string, object> {
  const { bear, base, bull } = outlookBody()['scenarios'] as Record<string, object>;
  return {
    bear: { ...bear, returnBand: { max: low } },
    base: { ...base, returnBand: { min: low, max: high } },
    bull: { ...bull, returnBand: { min: high } },
  };
}

function requireStatus(answer: LightMyRequestResponse, status: number): void {
  expect(answer.statusCode, answer.body).toBe(status);
}

let count = 0;

/** An outlook with return bands on an instrument of its own, and what tests do with it. */
export class BandedOutlook {
  readonly slug: string;
  readonly symbol: string;
  readonly series: string;
  readonly #ledger: TestLedger;

  private constructor(ledger: TestLedger) {
    count += 1;
    this.#ledger = ledger;
    this.slug = `banded-${count}`;
    this.symbol = `B${count}`;
    this.series = `banded-close-${count}`;
  }

  /** Created at 2026-11-20T16:00:00Z; `change` are members of the outlook. */
  static async create(
    ledger: TestLedger,
    change: Record<string, unknown> = {},
    band: Bounds = { low: -0.1, high: 0.15 },
  ): Promise<BandedOutlook> {
    const outlook = new BandedOutlook(ledger);
    const { slug, symbol, series } = outlook;
    ledger.clock.now = new Date('2026-11-20T16:00:00.000Z');
    const closes = { key: series, name: 'N', unit: 'points', frequency: 'daily', source: 'S' };
    await send(ledger, 'POST', '/v1/series', closes, { as: 'feed' });
    const instrument = { symbol, name: 'N', kind: 'index', closes: series };
    await send(ledger, 'POST', '/v1/instruments', instrument);
    const created = await createOutlook(ledger, {
      slug,
      instrument: symbol,
      horizon: HORIZON,
      scenarios: bandedScenarios(band),
      invalidationConditions: [{ key: 'watched', invalidates: 'bear', statement: 'S' }],
      ...change,
    });
    requireStatus(created, 201);
    return outlook;
  }

  async observe(closes: Record<string, number>): Promise<void> {
    const observations = Object.entries(closes).map(([date, value]) => ({ date, value }));
    const url = `/v1/series/${this.series}/observations`;
    const answer = await send(this.#ledger, 'POST', url, { observations }, { as: 'feed' });
    requireStatus(answer, 200);
  }

  post(path: string, body: object): Promise<LightMyRequestResponse> {
    return send(this.#ledger, 'POST', `/v1/outlooks/${this.slug}${path}`, body);
  }

  resolve(body: object = {}): Promise<LightMyRequestResponse> {
    return this.post('/resolution', body);
  }

  /** An answer as JSON. */
  async read<Answer = Record<string, unknown>>(path = ''): Promise<Answer> {
    const answer = await this.#ledger.call({ url: `/v1/outlooks/${this.slug}${path}` });
    requireStatus(answer, 200);
    return answer.json<Answer>();
  }

  async isListed(query: string): Promise<boolean> {
    const url = `/v1/outlooks?instrument=${this.symbol}&${query}`;
    const { items } = (await this.#ledger.call({ url })).json<{ items: object[] }>();
    return items.length === 1;
  }

  /** The kinds and the data of its events, in their order. */
  async events(...kinds: string[]): Promise<{ kind: string; data: object }[]> {
    const { rows } = await this.#ledger.pool.query<{ kind: string; data: object }>(
      `select e.kind, e.data from events e join outlooks o on o.id = e.outlook_id
        where o.slug = $1 and e.kind = any($2) order by e.id`,
      [this.slug, kinds],
    );
    return rows;
  }
}
