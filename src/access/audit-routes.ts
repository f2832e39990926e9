import type { RefusalTrail } from './audit-trail.ts';
import type pg from 'pg';
import { z } from 'zod';
import { type AuditEntry, listAudit } from './audit-log.ts';
import { forbidStoring } from '../http/conditional-requests.ts';
import { keysetReads, LIST_TYPES, pageContent, sendList } from '../http/list-responses.ts';
import { idPosition, listShape } from '../http/paging.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { AUDIT_KINDS, auditEntry } from './audit-schemas.ts';

export type AuditDeps = {
  pool: pg.Pool;
  refusalTrail: RefusalTrail;
};

export function auditRoutes(api: Api, { pool, refusalTrail }: AuditDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/audit',
    config: { access: 'admin', serves: LIST_TYPES },
    schema: {
      operationId: 'listAudit',
      tags: ['Keys'],
      summary: 'Read the audit trail',
      description:
        'Newest first: every write, recorded in the same transaction, and the requests refused with 401 or 403. The entries for refusals are limited: for each known caller, and for all unknown callers together. Refusals beyond that are counted in one entry every ten minutes. Refusals by other instances appear within seconds. Refusals of unknown callers are deleted after `AUDIT_REFUSALS_DAYS` (90 days by default).',
      security: [{ key: [] }],
      querystring: z.strictObject({
        kind: z
          .enum(AUDIT_KINDS, { error: `must be one of ${AUDIT_KINDS.join(', ')}` })
          .optional()
          .meta({ description: 'Only writes, or only refusals.' }),
        analyst: z
          .uuid({ error: 'must be the id of an analyst, a UUID' })
          .toLowerCase()
          .optional()
          .meta({ description: 'Only entries of the analyst with this id.' }),
        subject: z
          .string()
          .regex(/^\/v1\/\S{1,996}$/, { error: 'must be a path such as /v1/keys/{id}' })
          .optional()
          .meta({
            description: 'Only writes with this `subject`, such as `/v1/keys/{id}`.',
          }),
        ...listShape,
      }),
      response: { 200: pageContent(auditEntry), ...problemResponses(401, 403, 422) },
    },
    handler: async (request, reply) => {
      const { kind = null, analyst = null, subject = null } = request.query;
      await refusalTrail.write();
      const reads = keysetReads(request.query, {
        cursorScope: ['audit', kind, analyst, ...(subject === null ? [] : [subject])],
        position: idPosition,
        fetch: (before, limit) =>
          listAudit(pool, { kind, analystId: analyst, subject }, { before, limit }),
        positionOf: ({ id }) => id,
        represent,
      });
      forbidStoring(reply);
      return sendList(request, reply, null, reads, auditEntry);
    },
  });
}

function represent({ recordedAt, ...entry }: AuditEntry): z.output<typeof auditEntry> {
  return { ...entry, recordedAt: recordedAt.toISOString() };
}
