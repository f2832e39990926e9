import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { addCheckpoint, type Answer, newestCheckpoint, type WitnessOptions } from './witness.ts';

/** Room for a proof and for 16 signatures of 5 kB, which c2sp.org/signed-note asks for. */
const MOST_BYTES = 131_072;
/** Connections at once. The oldest makes room for a new one, so idle clients keep nobody out. */
const MOST_CONNECTIONS = 500;

/** Limits of time, in milliseconds, and of size for each request. */
const LIMITS = {
  maxHeaderSize: 8_192,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 30_000,
  connectionsCheckingInterval: 1_000,
};

/** The HTTP server of a witness (c2sp.org/tlog-witness). It does not listen yet. */
export function witnessServer(options: WitnessOptions, onError: (error: unknown) => void): Server {
  const server = createServer(LIMITS, (request, response) => {
    handle(request, options).then(
      (answer) => send(response, answer),
      (error: unknown) => {
        if (request.destroyed && !request.complete) return; // the client is gone
        onError(error);
        send(response, { status: 500, body: 'The witness failed; its log says why.\n' });
      },
    );
  });
  limitConnections(server);
  return server;
}

async function handle(request: IncomingMessage, options: WitnessOptions): Promise<Answer> {
  const [path = ''] = (request.url ?? '').split('?', 1);
  if (path === '/add-checkpoint') {
    if (request.method !== 'POST') return text(405, 'Use POST.');
    const body = await bodyOf(request);
    return body
      ? addCheckpoint(body, options)
      : text(413, `A request has at most ${MOST_BYTES} bytes.`);
  }
  const hash = /^\/([0-9a-f]{64})\/checkpoint$/.exec(path)?.[1];
  if (hash === undefined)
    return text(404, 'A witness has POST /add-checkpoint and GET /<origin hash>/checkpoint.');
  if (request.method !== 'GET' && request.method !== 'HEAD') return text(405, 'Use GET.');
  const note = await newestCheckpoint(options.folder, hash);
  return note === null
    ? text(404, 'This witness has cosigned no log of this origin.')
    : { status: 200, body: note };
}

const text = (status: number, sentence: string): Answer => ({ status, body: `${sentence}\n` });

/** The whole body; null if it is too large. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | null> {
  if (Number(request.headers['content-length'] ?? 0) > MOST_BYTES) return null;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MOST_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    'content-type': type ?? 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // The rest of a body that is too large is not read.
    ...(status === 413 && { connection: 'close' }),
    ...(status === 405 && { allow: body.includes('POST') ? 'POST' : 'GET, HEAD' }),
  });
  response.end(body);
}

function limitConnections(server: Server): void {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    const [oldest] = open;
    if (open.size >= MOST_CONNECTIONS && oldest) {
      open.delete(oldest);
      oldest.destroy();
    }
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
}
