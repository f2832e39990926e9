import type { FastifyReply, FastifyRequest } from 'fastify';
import type pg from 'pg';
import { z } from 'zod';
import { entryOf } from '../domain/log-entries.ts';
import { bundleOf, parseTilePath, type Tile, TILE_WIDTH, tileWidth } from '../domain/log-tiles.ts';
import { BINARY_TYPE } from '../http/negotiation.ts';
import { Problem } from '../http/problems.ts';
import type { ResponseDraft } from '../http/response-cache/encoded-body.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import type { Session } from '../postgres/pool.ts';
import { type Generation, parseGeneration, readGeneration } from './generations.ts';
import { readCommitments } from './leaves.ts';
import { readTile } from './tree.ts';

export type TileDeps = {
  pool: pg.Pool;
  cache: ResponseCache;
  /** Whether this instance signs. Then only what was signed is served. */
  isSigning: boolean;
};

const PATH = z.strictObject({
  generation: z.string().describe('The generation of the log. GET /v1/log lists them.'),
  level: z.string().describe('The level of the tile, from 0 to 63. Level 0 has the leaf hashes.'),
  tile: z
    .string()
    .describe(
      'The number of the tile, three digits a segment, all but the last with `x`: tile 1067 is `x001/067`. A partial tile has its width at the end: `x001/067.p/8`. The slashes are slashes, or `%2F`.',
    ),
});
const { generation, tile } = PATH.shape;

const OF_PREFIX =
  'Full tiles never change. A tile that is not full yet has a width from 1 to 255, and a wider one begins with the same bytes; ask for the width that a checkpoint leads to. What the newest checkpoint does not cover is a 404.';

/**
 * Serves the log's tree and entries (c2sp.org/tlog-tiles). They are open to everyone, even where reads need a key: they are
 * hashes and commitments.
 */
export function tileRoutes(api: Api, deps: TileDeps): void {
  const answer = (request: FastifyRequest, reply: FastifyReply) => answerTile(request, reply, deps);
  const config = { access: 'public' as const, serves: [BINARY_TYPE] };
  const shared = { method: 'GET' as const, config, handler: answer };
  const response = (description: string) => ({
    200: {
      description,
      content: { [BINARY_TYPE]: { schema: z.string().meta({ format: 'binary' }) } },
    },
    ...problemResponses(404, 422),
  });
  api.route({
    ...shared,
    url: '/log/:generation/tile/:level/:tile',
    schema: {
      operationId: 'getLogTile',
      tags: ['Transparency log'],
      summary: "Read a tile of the log's tree",
      description: `Hashes of the log's Merkle tree (RFC 6962), from which any proof can be computed. ${OF_PREFIX}`,
      security: [],
      params: PATH,
      response: response('Hashes of 32 bytes, one after another, at most 256.'),
    },
  });
  api.route({
    ...shared,
    url: '/log/:generation/tile/entries/:tile',
    schema: {
      operationId: 'getLogEntries',
      tags: ['Transparency log'],
      summary: 'Read entries of the log',
      description: `The entries whose hashes the tile of level 0 with the same number has. Each is the JSON \`{"v":1,"commitment":"…"}\`: the HMAC-SHA-256 of an event under a salt, which its receipt discloses. ${OF_PREFIX}`,
      security: [],
      params: z.strictObject({ generation, tile }),
      response: response('Each entry after its length as two bytes, big-endian; at most 256.'),
    },
  });
  // The document can't describe a parameter of several segments.
  api.route({ ...shared, url: '/log/:generation/tile/:level/*', schema: { hide: true } });
  api.route({ ...shared, url: '/log/:generation/tile/entries/*', schema: { hide: true } });
}

async function answerTile(
  request: FastifyRequest,
  reply: FastifyReply,
  { pool, cache, isSigning }: TileDeps,
): Promise<void> {
  const {
    generation: generationText = '',
    level = 'entries',
    tile: name,
    '*': rest,
  } = request.params as Record<string, string>;
  const requested = parseTilePath(`tile/${level}/${name ?? rest}`);
  const number = parseGeneration(generationText);
  if (!requested || number === null) {
    throw new Problem('not-found', 'The log has no tile with this path; see c2sp.org/tlog-tiles.');
  }
  await cache.answer(request, reply, { tags: [] }, async () => {
    const found = await readGeneration(pool, number);
    const size = found ? (found.signedSize ?? (isSigning ? 0 : found.size)) : 0;
    if (!found || requested.width > tileWidth(requested.level, requested.number, size)) {
      throw notCovered(number, size);
    }
    return draftOf(await readBytes(pool, found, requested), requested);
  });
}

function notCovered(generation: number, size: number): Problem {
  const detail =
    size === 0
      ? `Nothing of generation ${generation} of the log is published.`
      : `The published tree of generation ${generation} has ${size} leaves, and no such tile: ask for one that its newest checkpoint covers.`;
  return new Problem('not-found', detail);
}

async function readBytes(session: Session, of: Generation, requested: Tile): Promise<Buffer> {
  const { level, number, width } = requested;
  if (level !== 'entries') return readTile(session, of.generation, { level, number, width });
  const range = { index: number * TILE_WIDTH, count: width };
  const commitments = await readCommitments(session, of, range);
  if (commitments.length < width) throw new Error(`entries of the bundle ${number} are missing`);
  return bundleOf(commitments.map(entryOf));
}

function draftOf(body: Buffer, { level }: Tile): ResponseDraft {
  return {
    body,
    type: BINARY_TYPE,
    freshness: 'immutable',
    isFinal: true,
    isIncompressible: level !== 'entries',
  };
}
