import { z } from 'zod';
import { timestamp } from '../http/fields.ts';

const hash = z.base64().length(44);

const count = z.int().min(0);

const witness = z
  .object({
    name: z.string().describe('The name of its key.'),
    vkey: z.string().describe('Its verifier key (c2sp.org/tlog-cosignature).'),
    size: count
      .nullable()
      .describe('The size of the newest tree that it cosigned; null if it cosigned none.'),
    cosignedAt: timestamp.nullable().describe('When it did so, by its own clock.'),
  })
  .meta({ id: 'LogWitness', description: 'Who cosigns checkpoints of the log.' });

const statement = z
  .object({
    event: z.string().describe('Canonical JSON (RFC 8785) that says why the generation started.'),
    salt: hash.describe('The key of the HMAC-SHA-256 whose result is the commitment of leaf 0.'),
  })
  .meta({ id: 'LogStatement', description: 'What started a generation of the log.' });

const generation = z
  .object({
    generation: z.int().min(1),
    origin: z.string().describe('The origin of its checkpoints. It never changes.'),
    startedAt: timestamp,
    agreedSize: count
      .nullable()
      .describe(
        'How many leaves of the generation before it this generation still stands by; null for the first one.',
      ),
    statement: statement
      .nullable()
      .describe('What leaf 0 commits to; null for the first generation, whose leaf 0 is an event.'),
  })
  .meta({ id: 'LogGeneration', description: 'A generation of the log: a tree of its own.' });

/** The log and its newest tree. */
export const transparencyLog = z
  .object({
    generation: z.int().min(1).describe('The newest generation, the only one that grows.'),
    origin: z.string().describe('The origin of its checkpoints.'),
    size: count.describe(
      'How many leaves the tree has: of the newest checkpoint, if the log is signed.',
    ),
    root: hash.describe('The root of the tree of that size.'),
    signed: z.boolean().describe('Whether there is a signed checkpoint.'),
    checkpoint: z.string().nullable().describe('Where the newest checkpoint is.'),
    vkey: z
      .string()
      .nullable()
      .describe(
        'The verifier key of the newest checkpoint. Compare it with one that you have from elsewhere: whoever controls this service controls this answer.',
      ),
    witnesses: z.array(witness).describe('Who cosigns checkpoints of this log.'),
    generations: z.array(generation).describe('All generations, oldest first.'),
    rowsFirstDigestedAt: timestamp
      .nullable()
      .describe(
        'When the rows from before the log were first digested: for them, the log says what they were then. Null if there were none, or if some are still to be digested.',
      ),
  })
  .meta({ id: 'TransparencyLog', description: 'The log, and its newest tree.' });
