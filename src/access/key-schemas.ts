import { z } from 'zod';
import { ROLES } from '../domain/api-keys.ts';
import { analystLine, timestamp } from '../http/fields.ts';

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
      .default(null)
      .meta({ description: 'When the key expires. Null, or left out: never.' }),
  })
  .meta({ id: 'KeyInput', description: 'A request for a key.' });

const keyShape = {
  id: z.uuid(),
  name: z.string(),
  analystId: z.uuid(),
  role: z.enum(ROLES),
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
