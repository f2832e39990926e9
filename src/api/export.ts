import type pg from 'pg';
import { z } from 'zod';
import { type Audience, audienceName } from '../domain/desks.ts';
import { eventIdOf, START } from '../domain/events.ts';
import { exportBatches, exportTypes } from '../ledger/export.ts';
import { newestEvent, readNewestShown } from '../postgres/outbox.ts';
import { setFreshness } from '../http/conditional-requests.ts';
import { digestNow, sendLongBody } from '../http/long-responses.ts';
import { CONTENT_TYPES, NDJSON_TYPE } from '../http/negotiation.ts';
import { type Api, problemResponses } from '../http/routing.ts';

export type ExportDeps = {
  pool: pg.Pool;
  now: () => Date;
};

/** The version of the format. A later release adds types and members under the same one. */
const FORMAT = 1;

const EXAMPLE = [
  {
    type: 'export',
    format: FORMAT,
    position: '138-5f0c91ab',
    startedAt: '2026-11-20T16:31:00.000Z',
  },
  { type: 'end', records: 0 },
]
  .map((line) => `${JSON.stringify(line)}\n`)
  .join('');

const DESCRIPTION = `Everything that the caller may see in one response, as newline-delimited JSON: one object a line, each with a \`type\`.

- The first line has the type \`export\`, with the version of the \`format\`, the \`types\` that follow, and the id of the newest event that the caller may see as \`position\`.
- Then come the records: ${exportTypes({ hasKey: true })
  .map((type) => `\`${type}\``)
  .join(
    ', ',
  )}. \`outlook\` in a record is a slug. A \`framework\` comes before the first version that has its hash. Observations have all their vintages. Views, and those that a version pooled, need a key.
- The last line has the type \`end\`, with the number of \`records\`. If it is missing, the export is incomplete: ask again.

The export has all that was committed when it began, and may have some of what was written while it was read. Whatever a record refers to is in it, before or after the record. To stay up to date, follow \`GET /v1/events\` with \`lastEventId\` set to \`position\`.

Not included: keys, earlier names of analysts, the audit trail, webhooks, stored responses and events; and scores and track records, which are computed from the rest. Four long responses go to one address at once, and eight from one instance; beyond that, 429 or 503 says when to try again.`;

export function exportRoutes(api: Api, { pool, now }: ExportDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/export',
    config: { access: 'read', serves: [NDJSON_TYPE] },
    schema: {
      operationId: 'exportLedger',
      tags: ['Export'],
      summary: 'Export the ledger',
      description: DESCRIPTION,
      response: {
        200: {
          content: {
            [NDJSON_TYPE]: {
              schema: z.string().meta({
                description: 'Newline-delimited JSON, in UTF-8: an object a line.',
                examples: [EXAMPLE],
              }),
            },
          },
        },
        ...problemResponses(422, 429),
      },
    },
    handler: async (request, reply) => {
      const { audience } = request;
      const digest = await digestNow(pool, `export ${FORMAT} ${audienceName(audience)}`);
      const startedAt = now();
      setFreshness(reply, 'revalidate');
      const name = `outlook-ledger-${startedAt.toISOString().slice(0, 10)}.ndjson`;
      return sendLongBody(request, reply, {
        parts: exportLines(pool, startedAt, audience),
        headers: {
          'content-type': CONTENT_TYPES[NDJSON_TYPE],
          'content-disposition': `attachment; filename="${name}"`,
        },
        digest,
      });
    },
  });
}

async function* exportLines(
  pool: pg.Pool,
  startedAt: Date,
  audience: Audience,
): AsyncGenerator<string, void> {
  const { position: upTo } = await newestEvent(pool);
  // Only of an event that the reader may see: an id proves a guess at what its event says.
  const position = eventIdOf((await readNewestShown(pool, { after: 0, upTo }, audience)) ?? START);
  const head = {
    type: 'export',
    format: FORMAT,
    position,
    startedAt,
    types: exportTypes(audience),
  };
  yield line(head);
  let records = 0;
  for await (const batch of exportBatches(pool, audience)) {
    records += batch.length;
    yield batch.map(line).join('');
  }
  yield line({ type: 'end', records });
}

const line = (record: object): string => `${JSON.stringify(record)}\n`;
