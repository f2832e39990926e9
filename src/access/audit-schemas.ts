import { z } from 'zod';
import { ROLES } from '../domain/api-keys.ts';
import { timestamp } from '../http/fields.ts';

export const AUDIT_KINDS = ['write', 'refusal'] as const;

export const auditEntry = z
  .object({
    id: z.int().min(1).meta({ description: 'Ascending; there may be gaps.' }),
    recordedAt: timestamp,
    kind: z.enum(AUDIT_KINDS),
    analyst: z
      .object({ id: z.uuid(), name: z.string() })
      .nullable()
      .meta({ description: 'Null where nobody was recognised, or where it was a local program.' }),
    role: z.enum(ROLES).nullable(),
    credential: z.string().nullable().meta({
      description: 'The id of the key, or the issuer and the subject of the token.',
    }),
    method: z.string().meta({
      description:
        'LOCAL for what a program did on the machine of the ledger, such as `npm run keys`.',
    }),
    path: z.string(),
    status: z.int().min(200).max(499),
    problem: z.string().nullable().meta({ description: 'Of a refusal: the kind of problem.' }),
    detail: z.string().nullable().meta({ description: 'Of a refusal: what was told.' }),
    address: z.string().nullable(),
    requestId: z.string().nullable().meta({
      description: 'The `X-Request-Id` of the answer; of several refusals, of the first.',
    }),
    times: z.int().min(1).meta({
      description: 'How many refusals the entry stands for, which differ in their moment only.',
    }),
  })
  .meta({
    id: 'AuditEntry',
    description: 'A write, or requests refused for who sent them.',
    examples: [
      {
        id: 42,
        recordedAt: '2026-11-20T16:31:00.000Z',
        kind: 'write',
        analyst: { id: '016d28b9-0db9-42d9-ba83-9f320b0c00e5', name: 'Small-cap desk' },
        role: 'analyst',
        credential: '7c0f4e0a-5a0d-4c55-9a1d-2f8f6f0f7a11',
        method: 'POST',
        path: '/v1/outlooks/russell-2000-downside/revisions',
        status: 201,
        problem: null,
        detail: null,
        address: '203.0.113.7',
        requestId: '91b9d70e-0aba-4f01-b825-54b21720d8c9',
        times: 1,
      },
    ],
  });
