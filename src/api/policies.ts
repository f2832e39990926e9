import { z } from 'zod';
import { authorOf, callerOf } from '../access/authentication.ts';
import { readDesk } from '../access/desks.ts';
import { runWrite, type WriteDeps } from '../access/run-write.ts';
import { actsFor } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import { type Policy, PROPOSAL_KINDS } from '../domain/proposals.ts';
import { forbidStoring } from '../http/conditional-requests.ts';
import { slug } from '../http/fields.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { readPolicy, setPolicy } from '../ledger/policies.ts';
import type { ChangeFeed } from '../postgres/change-feed.ts';
import { newPolicy, policy } from './schemas/policies.ts';

export type PolicyDeps = WriteDeps & { feed: ChangeFeed; countsIdentities: boolean };

const TAG = 'Desks';
const URL = '/v1/desks/:desk/policy';
const params = z.strictObject({ desk: slug });
const security = [{ key: [] }];

export function policyRoutes(api: Api, ledger: PolicyDeps): void {
  readRoute(api, ledger);
  setRoute(api, ledger);
}

function readRoute(api: Api, { pool }: PolicyDeps): void {
  api.route({
    method: 'GET',
    url: URL,
    config: { access: 'key' },
    schema: {
      operationId: 'getDeskPolicy',
      tags: [TAG],
      summary: "Read a desk's policy",
      description: 'What the desk publishes only with approval. For keys and tokens of the desk.',
      security,
      params,
      response: { 200: policy, ...problemResponses(401, 404, 422) },
    },
    handler: async (request, reply) => {
      const { desk: name } = request.params;
      const { id } = await readDesk(pool, name);
      if (!actsFor(callerOf(request).desks, id)) {
        throw new DomainError(
          'desk-not-found',
          `There is no desk "${name}" that your key or token acts for.`,
        );
      }
      forbidStoring(reply);
      return reply.send(represent(await readPolicy(pool, name)));
    },
  });
}

function setRoute(api: Api, ledger: PolicyDeps): void {
  api.route({
    method: 'PUT',
    url: URL,
    config: { access: 'admin' },
    schema: {
      operationId: 'setDeskPolicy',
      tags: [TAG],
      summary: "Set a desk's policy",
      description:
        'Says which requests the desk publishes only with approval, by how many analysts other than their author, and whether analysts may resolve what they forecast. It applies from then on to everyone, admins included: a direct request that needs approval answers 202 with the proposal that it becomes. Proposals that were approved under an earlier policy are checked again when they are published. A policy that nobody could satisfy is refused.',
      security,
      params,
      body: newPolicy,
      response: { 200: policy, ...problemResponses(400, 401, 403, 404, 409, 413, 415, 422) },
    },
    handler: async (request, reply) => {
      const { desk: name } = request.params;
      const { id: authorId } = authorOf(request);
      const { countsIdentities } = ledger;
      forbidStoring(reply);
      await runWrite(request, reply, ledger, {
        work: (session) =>
          setPolicy(session, name, request.body, { authorId, now: ledger.now(), countsIdentities }),
        respond: (current) => ({ status: 200, body: represent(current) }),
        subjectOf: (current) => ({
          subject: `/v1/desks/${name}/policy`,
          summary: `Set version ${current.version}: ${describe(current)}`,
        }),
        afterCommit: () => ledger.feed.announce(),
      });
      return reply;
    },
  });
}

function describe({ approvals, authorMayResolve }: Policy): string {
  const counts = PROPOSAL_KINDS.map((kind) => `${kind} ${approvals[kind]}`).join(', ');
  return `${counts}; authors may ${authorMayResolve ? '' : 'not '}resolve what they forecast`;
}

function represent({ approvals, recordedAt, ...rest }: Policy): z.output<typeof policy> {
  return { ...rest, approvals: { ...approvals }, recordedAt: recordedAt?.toISOString() ?? null };
}
