import { z } from 'zod';
import { ROLES } from '../domain/api-keys.ts';
import { line, timestamp } from '../http/fields.ts';

export const newKey = z
  .strictObject({
    name: line.meta({
      description:
        'The analyst or system that acts with the key. A second key of the same name acts for the same analyst.',
    }),
    role: z.enum(ROLES).meta({
      description:
        'analyst: outlooks and revisions; feed: observations; admin: keys, and all else.',
    }),
    expiresAt: z.iso
      .datetime({ offset: true, error: 'must be a moment such as 2027-01-31T00:00:00Z' })
      // An offset can carry the last day of 9999 into a year that timestamps can't write.
      .refine((text) => !(Date.parse(text) >= Date.UTC(10_000, 0)), {
        error: 'must be before the year 10000',
      })
      .nullable()
      .default(null)
      .meta({ description: 'From when the key is refused; null or left out, never.' }),
  })
  .meta({ id: 'NewKey', description: 'A request for a key.' });

const keyShape = {
  id: z.uuid(),
  name: z.string(),
  analystId: z.uuid(),
  role: z.enum(ROLES),
  hint: z.string().meta({ description: 'How the key begins, to tell keys apart.' }),
  createdAt: timestamp,
  expiresAt: timestamp.nullable(),
  revokedAt: timestamp.nullable(),
  lastUsedAt: timestamp.nullable().meta({ description: 'To the minute.' }),
};

export const key = z
  .object(keyShape)
  .meta({ id: 'Key', description: 'A key, without the key itself, which is not stored.' });

export const issuedKey = z
  .object({
    ...keyShape,
    key: z
      .string()
      .regex(/^olk_[A-Za-z0-9_-]+$/)
      .meta({ description: 'The key itself. It is shown this once and can not be had again.' }),
  })
  .meta({ id: 'IssuedKey', description: 'A key at the moment it is issued.' });
