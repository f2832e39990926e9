import type pg from 'pg';
import { z } from 'zod';
import { roleAllows } from '../domain/api-keys.ts';
import {
  countInbox,
  INBOX_KINDS,
  type InboxKind,
  type InboxItem,
  type InboxOwner,
  readInbox,
} from '../ledger/inbox.ts';
import { type Caller, callerOf } from '../access/authentication.ts';
import { forbidStoring } from '../http/conditional-requests.ts';
import { cursorTimestamp, keysetPage, pageShape } from '../http/paging.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { type InboxItemJson, inboxPage, inboxQueryKind } from './schemas/inbox.ts';

export type InboxDeps = { pool: pg.Pool; now: () => Date };

const kindOfPosition = z.enum(INBOX_KINDS);
/** Ids of outlooks and series are numbers, those of proposals UUIDs; the query compares them as such. */
const ID_OF_PROPOSAL = z.uuid();
const ID = /^\d{1,18}$/;
const isOfProposals = (kind: InboxKind) => kind === 'to-approve' || kind === 'returned';
const position = z.codec(
  z
    .tuple([kindOfPosition, cursorTimestamp, z.string()])
    .refine(([kind, , id]) =>
      isOfProposals(kind) ? ID_OF_PROPOSAL.safeParse(id).success : ID.test(id),
    ),
  z.object({ kind: kindOfPosition, at: z.date(), id: z.string() }),
  {
    decode: ([kind, at, id]) => ({ kind, at, id }),
    encode: ({ kind, at, id }) => [kind, at, id] as [typeof kind, Date, string],
  },
);

export function inboxRoutes(api: Api, { pool, now }: InboxDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/inbox',
    config: { access: 'key' },
    schema: {
      operationId: 'getInbox',
      tags: ['Inbox'],
      summary: 'Read your inbox',
      description:
        'What waits for you and your desks: proposals to approve, proposals of yours that were returned, reviews that are due, horizons that are over, resolutions that closes contradict, and series that stopped arriving. Kinds come in this order, and the oldest items of each first. `GET /v1/inbox/events` tells when to read it again.',
      security: [{ key: [] }],
      querystring: z.strictObject({ kind: inboxQueryKind, ...pageShape }),
      response: { 200: inboxPage, ...problemResponses(401, 403, 422) },
    },
    handler: async (request, reply) => {
      const { kind } = request.query;
      const owner = ownerOf(callerOf(request));
      const kinds = kind === undefined ? INBOX_KINDS : [kind];
      const at = now();
      const counts = await countInbox(pool, owner, at);
      const page = await keysetPage(request.query, {
        cursorScope: ['inbox', kind ?? null],
        position,
        fetch: (after, limit) => readInbox(pool, owner, { kinds, after, limit, now: at }),
        positionOf: (item) => item.position,
        represent,
      });
      forbidStoring(reply);
      return reply.send({ ...page, counts });
    },
  });
}

/** Whose inbox a caller reads. Only analysts approve; of a token's roles, any may allow it. */
export function ownerOf({ analyst, desks, roles }: Caller): InboxOwner {
  const mayApprove = roles.some((role) => roleAllows(role, 'analyst'));
  return { analystId: analyst.id, desks, mayApprove };
}

function represent(item: InboxItem): InboxItemJson {
  const { kind, desk, outlook, series, proposal, title, detail, since } = item;
  const url = urlOf(item);
  return { kind, desk, outlook, series, proposal, title, detail, since: since.toISOString(), url };
}

function urlOf({ outlook, series, proposal }: InboxItem): string {
  if (proposal !== null) return `/v1/proposals/${proposal}`;
  return series !== null ? `/v1/series/${series}` : `/v1/outlooks/${outlook}`;
}
