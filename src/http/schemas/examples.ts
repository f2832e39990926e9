import { readFileSync } from 'node:fs';
import { fractionsOf, probabilitiesOf } from '../../domain/probabilities.ts';

const sampleFile = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../samples/${name}.json`, import.meta.url), 'utf8'));

/** The bodies of the two requests that put the Russell 2000 outlook into an empty ledger. */
export const SAMPLE_INSTRUMENT = sampleFile('instrument-rut') as Record<string, unknown>;
export const SAMPLE_OUTLOOK = sampleFile('russell-2000-downside') as Record<string, unknown>;

const rationale =
  'Long-term Treasury yields jumped; financing pressure on small caps rises with them.';
const revised = { bear: 0.35, base: 0.4, bull: 0.25 };

/** Bodies that Swagger UI offers, by operation and name. */
export const REQUEST_EXAMPLES: Record<
  string,
  Record<string, { summary: string; value: unknown }>
> = {
  createInstrument: {
    instrument: {
      summary: 'An index',
      value: { symbol: 'SPX', name: 'S&P 500 Index', kind: 'index' },
    },
  },
  createOutlook: {
    russell2000: {
      summary: "The Russell 2000 downside case, as another desk's outlook",
      value: { ...SAMPLE_OUTLOOK, slug: 'russell-2000-downside-second-desk' },
    },
  },
  reviseOutlook: {
    revision: {
      summary: 'Five points from base to bear',
      value: { probabilities: revised, rationale },
    },
    refusedSum: {
      summary: 'Refused: sums to 1.05',
      value: { probabilities: { ...revised, base: 0.45 }, rationale },
    },
  },
  reviseFramework: {
    wording: {
      summary: "Reword the bear scenario's conditions",
      value: {
        rationale: 'Says which spread we watch.',
        scenarios: {
          bear: { conditions: 'High-yield spreads widen while fewer companies raise guidance.' },
        },
      },
    },
    withProbabilities: {
      summary: 'Drop the disclaimer and move probabilities along',
      value: {
        rationale: 'The disclaimer moved to our site; demand data came in stronger.',
        disclaimer: null,
        probabilities: fractionsOf(probabilitiesOf({ bear: 2500, base: 4500, bull: 3000 })),
      },
    },
  },
  issueKey: {
    analyst: {
      summary: 'A key for a desk, for a year',
      value: {
        name: 'Small-cap desk',
        role: 'analyst',
        expiresAt: '2027-11-20T00:00:00.000Z',
      },
    },
  },
};
