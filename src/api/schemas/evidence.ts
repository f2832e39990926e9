import { z } from 'zod';
import { repeated } from '../../domain/errors.ts';
import {
  CLAIM_EFFECTS,
  CLAIM_HORIZONS,
  CLAIM_TARGET_KINDS,
  sentimentFaults,
} from '../../domain/evidence.ts';
import {
  bodyTimestamp,
  line,
  listOf,
  optionalProse,
  prose,
  slug,
  timestamp,
  webAddress,
  withRule,
} from '../../http/fields.ts';
import { author } from './outlooks.ts';
import { deltas } from './probabilities.ts';

const newSentiment = withRule(
  z.strictObject({
    score: z.number(),
    label: line,
    scale: z.strictObject({ min: z.number(), max: z.number() }),
    provider: line,
  }),
  ({ score, scale }) =>
    score === undefined || scale === undefined ? [] : sentimentFaults({ score, scale }),
).meta({
  id: 'SentimentInput',
  description: 'A sentiment as its provider states it: score, label and scale.',
  examples: [
    { score: -0.15, label: 'mildly negative', scale: { min: -1, max: 1 }, provider: 'Newswire' },
  ],
});

const newTicker = z
  .strictObject({
    symbol: line,
    sentiment: z.strictObject({ score: z.number(), label: line }).nullable().default(null),
    relevance: z.number().min(0).max(1).nullable().default(null),
  })
  .meta({ id: 'TickerInput', description: 'What the item says about a traded symbol.' });

const newRange = withRule(
  z.strictObject({ min: z.number(), max: z.number(), unit: line }),
  ({ min, max }) => {
    if (min === undefined || max === undefined || min <= max) return [];
    return [{ path: ['max'], detail: `must not be less than min, ${min}` }];
  },
).meta({
  id: 'ClaimRangeInput',
  description: 'The range that the claim states.',
  examples: [{ min: 3, max: 5, unit: 'percent of the index level' }],
});

const claimTarget = z
  .strictObject({
    kind: z.enum(CLAIM_TARGET_KINDS),
    key: slug.meta({
      description:
        '`bear`, `base` or `bull`, or the key of a headwind or condition of the outlook.',
    }),
  })
  .meta({ id: 'ClaimTarget', description: 'The part of the outlook that the claim is about.' });

const newClaim = z
  .strictObject({
    statement: prose,
    effect: z
      .enum(CLAIM_EFFECTS)
      .meta({ description: 'Whether the claim supports or weakens the target.' }),
    target: claimTarget,
    horizon: z.enum(CLAIM_HORIZONS).meta({ description: 'The period that the claim is about.' }),
    condition: optionalProse.meta({ description: 'What the claim depends on: "if …".' }),
    range: newRange.nullable().default(null),
  })
  .meta({
    id: 'ClaimInput',
    description: 'A statement that supports or weakens a part of the outlook.',
  });

export const newEvidence = z
  .strictObject({
    headline: line,
    summary: prose,
    publisher: line,
    url: webAddress.nullable().default(null),
    publishedAt: bodyTimestamp.meta({ description: 'When the publisher published it.' }),
    sentiment: newSentiment.nullable().default(null),
    tickers: listOf(newTicker, (tickers) => repeated(tickers, 'symbol')),
    claims: listOf(newClaim),
    corrects: z
      .uuid({ error: 'must be the id of an item of evidence' })
      .toLowerCase()
      .nullable()
      .default(null)
      .meta({
        description:
          'The id of an earlier item of evidence of this outlook that this one corrects.',
      }),
  })
  .meta({ id: 'EvidenceInput', description: 'News or data that bears on an outlook.' });

const sentiment = z
  .object({
    score: z.number(),
    label: z.string(),
    scale: z.object({ min: z.number(), max: z.number() }),
    provider: z.string(),
  })
  .meta({
    id: 'Sentiment',
    description: 'As the provider states it. The service never recomputes it.',
  });

const ticker = z
  .object({
    symbol: z.string(),
    sentiment: z.object({ score: z.number(), label: z.string() }).nullable(),
    relevance: z.number().nullable(),
  })
  .meta({ id: 'Ticker', description: 'What an item says of a traded symbol.' });

const claim = z
  .object({
    statement: z.string(),
    effect: z.enum(CLAIM_EFFECTS),
    target: claimTarget,
    horizon: z.enum(CLAIM_HORIZONS),
    condition: z.string().nullable(),
    range: z
      .object({ min: z.number(), max: z.number(), unit: z.string() })
      .meta({ id: 'ClaimRange', description: 'The range that the claim states.' })
      .nullable(),
  })
  .meta({
    id: 'Claim',
    description: 'A statement that supports or weakens a part of the outlook.',
  });

export const evidence = z
  .object({
    id: z.uuid(),
    headline: z.string(),
    summary: z.string(),
    publisher: z.string(),
    url: z.string().nullable(),
    publishedAt: timestamp,
    sentiment: sentiment.nullable(),
    tickers: z.array(ticker),
    claims: z.array(claim),
    corrects: z.uuid().nullable(),
    correctedBy: z
      .uuid()
      .nullable()
      .meta({ description: 'The id of a later item that corrects this one.' }),
    duplicateOf: z.uuid().nullable().meta({
      description:
        'The id of the first item of this outlook that is the same: of the same publisher with the same URL or, without one, with the same headline and time. Null for the first one, and for a correction.',
    }),
    addedBy: author,
    addedAt: timestamp,
    moved: z
      .array(
        z
          .object({ version: z.int().min(1), publishedAt: timestamp, deltas })
          .meta({ id: 'Move', description: 'A version and how it moved the probabilities.' }),
      )
      .meta({
        description: 'The versions that cite this item, oldest first; at most the 1,000 newest.',
      }),
  })
  .meta({ id: 'Evidence', description: 'News or data that bears on an outlook.' });
