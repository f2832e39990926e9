import type pg from 'pg';
import { z } from 'zod';
import { Problem } from '../http/problems.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { type Checkpoint, newestCheckpoint } from './checkpoints.ts';
import { cosignaturesOf } from './cosignatures.ts';
import { parseGeneration, readGeneration } from './generations.ts';

const TEXT_TYPE = 'text/plain';

/** For how long caches may serve a checkpoint, in seconds. c2sp.org/tlog-tiles says: a few. */
const MAX_AGE = 1;

export type CheckpointDeps = { pool: pg.Pool };

/** Serves the newest checkpoint of a generation to everyone, even where reads need a key. */
export function checkpointRoute(api: Api, { pool }: CheckpointDeps): void {
  api.route({
    method: 'GET',
    url: '/log/:generation/checkpoint',
    config: { access: 'public', serves: [TEXT_TYPE] },
    schema: {
      operationId: 'getCheckpoint',
      tags: ['Transparency log'],
      summary: "Read the log's newest checkpoint",
      description:
        'The size and the root hash of the tree, signed by the log: a checkpoint as c2sp.org/tlog-checkpoint describes it, without extension lines. It is at most a second older than the tree. While the log changes its key, it has the signatures of both; ignore those of keys that you do not know. It also has the cosignatures (c2sp.org/tlog-cosignature) of witnesses that have cosigned this size. A generation that another one followed keeps its last checkpoint. Without a signed checkpoint, the response is 404 (`no-signed-log`).',
      security: [],
      params: z.strictObject({
        generation: z
          .string()
          .max(20)
          .describe('The generation of the log. GET /v1/log lists them.')
          .meta({ examples: ['1'] }),
      }),
      response: {
        200: {
          description: 'A signed note.',
          content: { [TEXT_TYPE]: { schema: z.string().meta({ examples: [EXAMPLE] }) } },
        },
        ...problemResponses(404, 422),
      },
    },
    handler: async (request, reply) => {
      const { generation } = request.params;
      const number = parseGeneration(generation);
      const checkpoint = number === null ? null : await newestCheckpoint(pool, number);
      if (checkpoint === null) throw await noCheckpoint(pool, number, generation);
      reply.header('cache-control', `public, max-age=${MAX_AGE}`);
      return reply.type(`${TEXT_TYPE}; charset=utf-8`).send(await cosigned(pool, checkpoint));
    },
  });
}

/** The note, with the cosignatures that this very checkpoint has: one of a size that passed quickly has none. */
async function cosigned(pool: pg.Pool, checkpoint: Checkpoint): Promise<string> {
  const cosignatures = await cosignaturesOf(pool, checkpoint);
  return [checkpoint.note, ...cosignatures.map(({ signature }) => `${signature}\n`)].join('');
}

async function noCheckpoint(
  pool: pg.Pool,
  number: number | null,
  generation: string,
): Promise<Problem> {
  if (number !== null && (await readGeneration(pool, number)) !== null) {
    return new Problem(
      'no-signed-log',
      'This service does not sign its log; GET /v1/log gives its size and root.',
    );
  }
  return new Problem(
    'not-found',
    `The log has no generation "${generation}"; GET /v1/log lists them.`,
  );
}

const EXAMPLE = `outlooks.example/log/1
20852
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— outlooks.example/log/1 Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
`;
