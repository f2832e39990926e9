import { z } from 'zod';
import { ROLES } from '../domain/api-keys.ts';
import { timestamp } from '../http/fields.ts';

export const AUDIT_KINDS = ['write', 'refusal'] as const;

export const auditEntry = z
  .object({
    id: z.int().min(1).meta({ format: 'int64', description: 'Ascending, possibly with gaps.' }),
    recordedAt: timestamp,
    kind: z.enum(AUDIT_KINDS),
    analyst: z
      .object({ id: z.uuid(), name: z.string() })
      .nullable()
      .meta({ description: 'Null if the caller was not identified, or was a local command.' }),
    role: z.enum(ROLES).nullable(),
    credential: z.string().nullable().meta({
      description:
        'The id of the key, or the issuer and subject of the token; also of a key that was refused because it was revoked or has expired.',
    }),
    method: z.string().meta({
      description: "LOCAL for a command run on the ledger's machine, such as `npm run keys`.",
    }),
    path: z.string().meta({
      description: 'The path of a write; for a refusal, the pattern of its route.',
    }),
    status: z.int().min(200).max(499),
    subject: z.string().nullable().meta({
      description:
        'Only for a write: what it created, changed or revoked, as a path of the API. Null for the writes of an earlier release.',
    }),
    summary: z.string().nullable().meta({
      description: 'Only for a write: what happened to its subject.',
    }),
    problem: z
      .string()
      .nullable()
      .meta({ description: 'Only for a refusal: the kind of problem.' }),
    detail: z
      .string()
      .nullable()
      .meta({ description: 'Only for a refusal: the detail of the problem.' }),
    address: z.string().nullable(),
    requestId: z.string().nullable().meta({
      description:
        'The `X-Request-Id` of the response. If the entry covers several refusals, that of the first.',
    }),
    times: z.int().min(1).meta({
      format: 'int64',
      description: 'The number of refusals that the entry covers. They differ only in time.',
    }),
  })
  .meta({
    id: 'AuditEntry',
    description: 'A write, or refused requests (401 or 403).',
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
        subject: '/v1/outlooks/russell-2000-downside/versions/2',
        summary: 'Published',
        problem: null,
        detail: null,
        address: '203.0.113.7',
        requestId: '91b9d70e-0aba-4f01-b825-54b21720d8c9',
        times: 1,
      },
    ],
  });
