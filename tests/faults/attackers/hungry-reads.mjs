// Sends reads that make the service hold as much as they can, until it has a number of responses if one is given:
// `node hungry-reads.mjs <port> <kind> [<count>]`.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';

const [port, kind, count = Infinity] = process.argv.slice(2);
const CONNECTIONS = 32;

const random = (length) =>
  randomBytes(Math.ceil(length / 2))
    .toString('hex')
    .slice(0, length);
const batch = (slugs) => `/v1/batch/outlooks?slugs=${slugs.join(',')}`;
const list = (length, item) => Array.from({ length }, (_, index) => item(index));
const slugsOf = (prefix, first, count) => list(count, (index) => `${prefix}-${first + index}`);

/** What the request with a number asks for: its path, a header field, and whether the response is left unread. */
const KINDS = {
  'unknown-slugs': (at) => ({ path: batch(list(100, (index) => (100 * at + index).toString(36))) }),
  'many-slugs': (at) => ({
    path: batch(slugsOf('small', 1 + (at % 1_900), 100)),
  }),
  'large-batches': () => ({ path: batch(slugsOf('large', 1, 30)) }),
  'unread-batches': (at) => ({
    path: batch([...slugsOf('large', 1 + (at % 27), 4), random(8)]),
    isUnread: true,
  }),
  'unread-times': (at) => ({
    path: `/v1/outlooks/large-1?asOf=${new Date(Date.now() - at).toISOString()}`,
    isUnread: true,
  }),
  spellings: () => ({
    path: `/v1/outlooks/small-1/chart.svg?utm_source=${random(7_000)}`,
  }),
  headers: (at) => ({ path: PATHS[at % PATHS.length], field: `Accept: */*;v=${random(14_000)}` }),
  'read-once': (at) => ({ path: `/v1/outlooks/small-${1 + (at % 2_000)}` }),
};

/** Of routes that each serve other media types. */
const PATHS = [
  '/',
  '/v1/outlooks',
  '/v1/outlooks/small-1',
  '/v1/outlooks/small-1/chart.svg',
  '/v1/outlooks/small-1/probabilities',
  '/v1/feed.atom',
  '/v1/feed.json',
];

let [sent, answered] = [0, 0];

function attack() {
  const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: '127.0.0.3' });
  const ask = () => {
    const { path, field = 'X: y', isUnread } = KINDS[kind](sent);
    sent += 1;
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n${field}\r\n\r\n`);
    if (!isUnread) return;
    socket.pause();
    setTimeout(() => socket.destroy(), 2_000); // and asks anew
  };
  let [left, text] = [0, ''];
  socket.on('connect', ask).on('data', (chunk) => {
    if (left === 0) {
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end === -1) return;
      left = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0) - (text.length - end - 4);
      text = '';
    } else left -= chunk.length;
    if (left > 0) return;
    answered += 1;
    if (answered >= count) process.exit();
    ask();
  });
  socket.on('error', () => {}).on('close', () => setTimeout(attack, 10));
}

for (let index = 0; index < CONNECTIONS; index += 1) attack();
process.send('attacks');
process.on('SIGTERM', () => process.exit());
