import { z } from 'zod';
import type { AuditSubject } from '../access/audit-log.ts';
import { addDesk, listDesks, readDesk, renameDesk, type StoredDesk } from '../access/desks.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import { setFreshness } from '../http/conditional-requests.ts';
import { slug } from '../http/fields.ts';
import { readJsonBodies } from '../http/json-body.ts';
import { keysetReads, LIST_TYPES, pageContent, sendList } from '../http/list-responses.ts';
import { listShape } from '../http/paging.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { desk, deskPatch, newDesk } from './schemas/desks.ts';

export type DeskDeps = WriteDeps;

const TAG = 'Desks';
const params = z.strictObject({ desk: slug });

export async function deskRoutes(api: Api, ledger: DeskDeps): Promise<void> {
  listRoute(api, ledger);
  oneRoute(api, ledger);
  addRoute(api, ledger);
  // A scope of its own, because only this route takes merge patches, and it takes nothing else.
  await api.register(async (scope) => renameRoute(scope, ledger));
}

function listRoute(api: Api, { pool }: DeskDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/desks',
    config: { access: 'read', serves: LIST_TYPES },
    schema: {
      operationId: 'listDesks',
      tags: [TAG],
      summary: 'List desks',
      description: 'Sorted by slug. Their slugs and names are public.',
      querystring: z.strictObject(listShape),
      response: { 200: pageContent(desk), ...problemResponses(422) },
    },
    handler: async (request, reply) => {
      const reads = keysetReads(request.query, {
        cursorScope: 'desks',
        position: slug,
        fetch: (after, limit) => listDesks(pool, { after, limit }),
        positionOf: (found) => found.slug,
        represent,
      });
      setFreshness(reply, 'revalidate');
      return sendList(request, reply, null, reads, desk);
    },
  });
}

function oneRoute(api: Api, { pool }: DeskDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/desks/:desk',
    config: { access: 'read' },
    schema: {
      operationId: 'getDesk',
      tags: [TAG],
      summary: 'Read a desk',
      description: 'One desk by its slug. `GET /v1/outlooks?desk=` lists its outlooks.',
      params,
      response: { 200: desk, ...problemResponses(404, 422) },
    },
    handler: async (request, reply) => {
      const found = await readDesk(pool, request.params.desk);
      setFreshness(reply, 'revalidate');
      return reply.send(represent(found));
    },
  });
}

function addRoute(api: Api, ledger: DeskDeps): void {
  api.route({
    method: 'POST',
    url: '/v1/desks',
    config: { access: 'admin' },
    schema: {
      operationId: 'addDesk',
      tags: [TAG],
      summary: 'Add a desk',
      description:
        'From the second desk on, new keys say which desks they act for, and so does a new outlook or series if its author acts for several. A desk is never deleted.',
      security: [{ key: [] }],
      body: newDesk,
      response: { 201: desk, ...problemResponses(400, 401, 403, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      await runWrite(request, reply, ledger, {
        work: (session) => addDesk(session, request.body, ledger.now()),
        respond: (added) => ({
          status: 201,
          headers: { location: `/v1/desks/${added.slug}` },
          body: represent(added),
        }),
        subjectOf: (added) => subjectOf(added, 'Added'),
      });
      return reply;
    },
  });
}

function renameRoute(api: Api, ledger: DeskDeps): void {
  readJsonBodies(api, 'application/merge-patch+json');
  api.route({
    method: 'PATCH',
    url: '/v1/desks/:desk',
    config: { access: 'admin' },
    schema: {
      operationId: 'renameDesk',
      tags: [TAG],
      summary: 'Rename a desk',
      description:
        'A merge patch (RFC 7396) of `name`. The slug never changes. Outlooks and series show the new name within a second.',
      security: [{ key: [] }],
      params,
      consumes: ['application/merge-patch+json'],
      body: deskPatch,
      response: { 200: desk, ...problemResponses(400, 401, 403, 404, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      await runWrite(request, reply, ledger, {
        work: (session) => renameDesk(session, request.params.desk, request.body.name),
        respond: (renamed) => ({ status: 200, body: represent(renamed) }),
        subjectOf: (renamed) => subjectOf(renamed, 'Renamed to'),
      });
      return reply;
    },
  });
}

function subjectOf({ slug: name, name: title }: StoredDesk, verb: string): AuditSubject {
  return { subject: `/v1/desks/${name}`, summary: `${verb} "${title}"` };
}

function represent({ slug: name, name: title, createdAt }: StoredDesk): z.output<typeof desk> {
  return { slug: name, name: title, createdAt: createdAt.toISOString() };
}
