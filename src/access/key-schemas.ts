import { z } from 'zod';
import { ROLES } from '../domain/api-keys.ts';
import { ALL, MOST_DESKS } from './desks.ts';
import { analystLine, slug, timestamp } from '../http/fields.ts';

const deskOrAll = z
  .string()
  .max(100)
  .refine((text) => text === ALL || slug.safeParse(text).success, {
    error: 'must be the slug of a desk, or "*" for all',
  });

export const newKey = z
  .strictObject({
    name: analystLine.meta({
      description:
        "The analyst or system that uses the key. Keys with the same name belong to the same analyst. A new name is stored in the Unicode form NFKC. It must not look like another analyst's, nor contain characters that can't be seen, other than joiners in words that need them.",
    }),
    role: z.enum(ROLES).meta({
      description:
        '`analyst` writes outlooks and revisions, `feed` writes observations, `admin` manages keys and may do everything else.',
    }),
    expiresAt: z.iso
      .datetime({ offset: true, error: 'must be a timestamp such as 2027-01-31T00:00:00Z' })
      // An offset can carry the last day of 9999 into a year that timestamps can't write.
      .refine((text) => !(Date.parse(text) >= Date.UTC(10_000, 0)), {
        error: 'must be before the year 10000',
      })
      .nullable()
      .optional()
      .meta({
        description:
          'When the key expires. Left out: after 365 days, or as many as the operator sets with KEY_DAYS. Null: never.',
      }),
    desks: z
      .preprocess(
        (sent) => (sent === ALL ? [ALL] : sent),
        z
          .array(deskOrAll)
          .min(1)
          .max(MOST_DESKS)
          .refine((desks) => new Set(desks).size === desks.length, {
            error: 'must name each desk once',
          })
          .refine((desks) => !desks.includes(ALL) || desks.length === 1, {
            error: 'must be only "*", or name desks',
          }),
      )
      .optional()
      .meta({
        description:
          'The slugs of the desks that the key acts for. They never change. `["*"]`, or `"*"`, stands for all desks, including later ones. You may leave it out while the ledger has one desk, and for admin keys, which act for all desks.',
      }),
  })
  .meta({ id: 'KeyInput', description: 'A request for a key.' });

/** The desks of a key or token in a response. */
export const desks = z.array(z.string()).meta({
  description:
    'The slugs of the desks that it acts for. `["*"]` stands for all desks, including later ones.',
  examples: [['rates', 'credit']],
});

const keyShape = {
  id: z.uuid(),
  name: z.string(),
  analystId: z.uuid(),
  role: z.enum(ROLES),
  desks,
  hint: z.string().meta({ description: 'The first characters of the key, to tell keys apart.' }),
  createdAt: timestamp,
  expiresAt: timestamp.nullable(),
  revokedAt: timestamp.nullable(),
  lastUsedAt: timestamp.nullable().meta({ description: 'Precise to the minute.' }),
  issuedBy: z.object({ id: z.uuid(), name: z.string() }).nullable().meta({
    description:
      "The admin who issued the key. Null if a command on the ledger's machine or an earlier release issued it.",
  }),
  issuedWith: z.string().nullable().meta({
    description:
      "The id of the key, or the issuer and subject of the token, that issued this key; LOCAL for a command on the ledger's machine. Null if an earlier release issued it.",
  }),
};

export const key = z
  .object(keyShape)
  .meta({ id: 'Key', description: 'A key without its secret text, which is not stored.' });

export const issuedKey = z
  .object({
    ...keyShape,
    key: z
      .string()
      .regex(/^olk_[A-Za-z0-9_-]+$/)
      .meta({
        description: 'The key itself, shown only in this response. It cannot be retrieved later.',
      }),
  })
  .meta({ id: 'IssuedKey', description: 'A newly issued key.' });
