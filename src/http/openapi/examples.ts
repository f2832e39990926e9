import { readFileSync } from 'node:fs';
import { PROPOSAL_EXAMPLES } from './proposal-examples.ts';
import { fractionsOf, probabilitiesOf } from '../../domain/probabilities.ts';

const sampleFile = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../samples/${name}.json`, import.meta.url), 'utf8'));

/** The bodies of the requests that put the Russell 2000 outlook into an empty ledger. */
export const SAMPLE_INSTRUMENT = sampleFile('instrument-rut') as Record<string, unknown>;
export const SAMPLE_OUTLOOK = sampleFile('russell-2000-downside') as Record<string, unknown>;
/** The series that its rules watch, and the series of its instrument's closes. */
export const SAMPLE_SERIES = sampleFile('series') as { series: Record<string, unknown>[] };
/** The news that moved it, and the closes that the news mentions. */
export const SAMPLE_EVIDENCE = sampleFile('evidence-yield-jump') as Record<string, unknown>;
export const SAMPLE_CLOSES = sampleFile('rut-closes') as Record<string, unknown>;

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
    clone: {
      summary: 'A clone of version 1, with other probabilities',
      value: {
        from: { slug: 'russell-2000-downside', version: 1 },
        slug: 'russell-2000-rebound',
        title: 'Russell 2000: the case for a rebound',
        probabilities: fractionsOf(probabilitiesOf({ bear: 2000, base: 4000, bull: 4000 })),
        rationale: 'The same framework, weighed by another desk.',
      },
    },
    rollover: {
      summary: 'Continued over the next horizon',
      value: {
        from: { slug: 'russell-2000-downside' },
        continues: 'russell-2000-downside',
        slug: 'russell-2000-downside-2028',
        horizon: { from: '2027-03-31', to: '2028-03-31' },
        rationale: 'The case stands for another year.',
      },
    },
  },
  ...Object.fromEntries(
    ['discloseOutlook', 'discloseSeries'].map((operation) => [
      operation,
      {
        disclosure: {
          summary: 'What GET said would open',
          value: { confirm: 'RDc0Xm3h3f1a0pVb3Fq2c0xYz9A' },
        },
      },
    ]),
  ),
  reviseOutlook: {
    revision: {
      summary: 'Five points from base to bear',
      value: { probabilities: revised, rationale },
    },
    reaffirmation: {
      summary: 'The same probabilities, reaffirmed',
      value: { reaffirm: true, rationale: 'Earnings are out, and they change nothing.' },
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
  addEvidence: {
    news: { summary: 'News with claims in both directions', value: SAMPLE_EVIDENCE },
    brief: {
      summary: 'The least there can be',
      value: {
        headline: 'Retail sales rose more than expected',
        summary: 'Demand at home held up in the month.',
        publisher: 'A newspaper',
        publishedAt: '2026-11-17T13:30:00Z',
      },
    },
  },
  assessCondition: {
    triggered: {
      summary: 'Met, as the desk sees it',
      value: {
        state: 'triggered',
        rationale: 'Two months of orders and spending above all forecasts.',
      },
    },
  },
  resolveOutlook: {
    closes: { summary: 'As the closes say, once the horizon is over', value: {} },
    early: {
      summary: 'Before the end of the horizon',
      value: {
        outcome: 'bear',
        reason: 'The fund that the outlook was written for was wound up; it stood below its band.',
      },
    },
    corrected: {
      summary: 'Void, in place of the first resolution',
      value: { outcome: 'void', reason: 'The index changed its rules midway.', supersedes: 1 },
    },
  },
  withdrawOutlook: {
    withdrawal: {
      summary: 'Give an outlook up',
      value: { rationale: 'The desk no longer covers small caps.' },
    },
  },
  holdView: {
    view: {
      summary: 'More cautious than the desk',
      value: {
        probabilities: fractionsOf(probabilitiesOf({ bear: 4000, base: 4000, bull: 2000 })),
        rationale: 'Refinancing needs of small companies peak within the horizon.',
      },
    },
  },
  publishConsensus: {
    linear: {
      summary: 'The mean of all views',
      value: {
        method: 'linear',
        weights: 'equal',
        rationale: 'The desk goes with its analysts.',
      },
    },
  },
  createSeries: {
    yield: {
      summary: 'A yield of the Treasury',
      value: {
        key: 'us-10y-yield',
        name: 'Market yield on US Treasury securities at 10-year constant maturity',
        unit: 'percent',
        frequency: 'daily',
        source: 'Board of Governors of the Federal Reserve System (FRED: DGS10)',
      },
    },
  },
  recordObservations: {
    closes: { summary: 'Closes, one of them computed', value: SAMPLE_CLOSES },
  },
  setSeriesSource: {
    fred: { summary: 'A series at FRED', value: { kind: 'fred', id: 'DGS30' } },
    url: {
      summary: 'A CSV file, every hour',
      value: {
        kind: 'url',
        url: 'https://data.example/yields.csv',
        file: { dateColumn: 'Day', valueColumn: '30Y' },
        everyMinutes: 60,
      },
    },
  },
  changeAnalyst: {
    rename: { summary: 'Rename', value: { name: 'Ada Fenwick' } },
    deactivate: { summary: 'Deactivate', value: { active: false } },
  },
  patchInstrument: {
    closes: { summary: 'Name the series of the closes', value: { closes: 'rut-close' } },
  },
  createWebhook: {
    all: {
      summary: 'All that happens',
      value: { url: 'https://hooks.desk.example/ledger', description: 'The dashboard' },
    },
    versions: {
      summary: 'The versions of one outlook',
      value: {
        url: 'https://hooks.desk.example/russell-2000',
        kinds: ['outlook.version.published'],
        outlook: 'russell-2000-downside',
      },
    },
  },
  changeWebhook: {
    kinds: {
      summary: 'Other kinds, from now on',
      value: { kinds: ['outlook.version.published', 'outlook.resolved'] },
    },
    enable: { summary: 'Go on', value: { enabled: true } },
  },
  addDesk: {
    rates: { summary: 'A second desk', value: { slug: 'rates', name: 'Rates desk' } },
  },
  renameDesk: {
    rates: { summary: 'A new name', value: { name: 'Rates and inflation desk' } },
  },
  ...PROPOSAL_EXAMPLES,
  issueKey: {
    analyst: {
      summary: 'A key for a desk, for a year',
      value: {
        name: 'Small-cap desk',
        role: 'analyst',
        desks: ['main'],
        expiresAt: '2027-11-20T00:00:00.000Z',
      },
    },
  },
};

/** The CSV bodies of operations, which zod can't describe. */
export const CSV_BODIES: Record<string, object> = {
  recordObservations: {
    schema: { type: 'string', description: 'RFC 4180, with a header line.' },
    examples: {
      csv: { summary: 'Two days', value: 'date,value\r\n2026-11-17,4.71\r\n2026-11-18,4.74\r\n' },
    },
  },
};
