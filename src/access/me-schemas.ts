import { z } from 'zod';
import { ROLES } from '../domain/api-keys.ts';
import { timestamp } from '../http/fields.ts';
import { desks } from './key-schemas.ts';

const ownKey = z
  .object({
    id: z.uuid(),
    hint: z.string().meta({ description: 'The first characters of the key, to tell keys apart.' }),
    createdAt: timestamp,
    expiresAt: timestamp.nullable().meta({ description: 'Null if the key never expires.' }),
    lastUsedAt: timestamp.nullable().meta({ description: 'Precise to the minute.' }),
  })
  .meta({ id: 'OwnKey', description: 'The key of the request.' });

const ownToken = z
  .object({
    issuer: z.string(),
    subject: z.string(),
    expiresAt: timestamp,
  })
  .meta({ id: 'OwnToken', description: 'The token of the request.' });

export const me = z
  .object({
    analyst: z.object({ id: z.uuid(), name: z.string() }).meta({
      description: 'The author of what is written with this key or token.',
    }),
    roles: z.array(z.enum(ROLES)).meta({
      description:
        'What the key or token may do. A key has one role. `admin` may do everything that the other roles may.',
    }),
    desks,
    key: ownKey.nullable().meta({ description: 'Null if the request has a token.' }),
    token: ownToken.nullable().meta({ description: 'Null if the request has a key.' }),
  })
  .meta({ id: 'Me', description: 'Who sent the request.' });

export type Me = z.output<typeof me>;
