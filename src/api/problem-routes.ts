import { z } from 'zod';
import { setFreshness } from '../http/conditional-requests.ts';
import { type ProblemCode, PROBLEMS } from '../http/problem-catalogue.ts';
import { Problem } from '../http/problems.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { problemType } from '../http/problem-schemas.ts';

const TAG = 'Problems';
const CODES = Object.keys(PROBLEMS) as ProblemCode[];

export function problemRoutes(api: Api): void {
  listRoute(api);
  oneRoute(api);
}

const represent = (code: ProblemCode): z.output<typeof problemType> => ({
  type: `/problems/${code}`,
  ...PROBLEMS[code],
});

function listRoute(api: Api): void {
  api.route({
    method: 'GET',
    url: '/problems',
    config: { access: 'public' },
    schema: {
      operationId: 'listProblemTypes',
      tags: [TAG],
      summary: 'List the kinds of problem',
      description: 'Every kind of problem that an `application/problem+json` response can have.',
      security: [],
      response: { 200: z.object({ items: z.array(problemType) }), ...problemResponses(422) },
    },
    handler: async (_request, reply) => {
      setFreshness(reply, 'revalidate');
      return reply.send({ items: CODES.map(represent) });
    },
  });
}

function oneRoute(api: Api): void {
  api.route({
    method: 'GET',
    url: '/problems/:code',
    config: { access: 'public' },
    schema: {
      operationId: 'getProblemType',
      tags: [TAG],
      summary: 'Read a kind of problem',
      description: 'What the `type` of a problem means and how to fix the request.',
      security: [],
      params: z.strictObject({ code: z.string().max(100) }),
      response: { 200: problemType, ...problemResponses(404, 422) },
    },
    handler: async (request, reply) => {
      const code = CODES.find((known) => known === request.params.code);
      if (!code) throw new Problem('not-found', 'There is no such kind of problem.');
      setFreshness(reply, 'revalidate');
      return reply.send(represent(code));
    },
  });
}
