// Sends requests as quickly as they are answered: `node flood.mjs <port> <connections> <path> [header…]`. Each `{random}` in
// the path, and in a header, is another text each time, each `{day}` a day, each `{moment}` a moment ago, each `{digit}` a digit.
import { Agent, request } from 'node:http';

const [port, connections, path, ...headers] = process.argv.slice(2);
const agent = new Agent({
  keepAlive: true,
  maxSockets: Number(connections),
  localAddress: '127.0.0.3',
});

const VARIABLES = {
  random: () => Math.random().toString(36).slice(2, 10),
  digit: () => String(Math.floor(Math.random() * 10)),
  moment: () => new Date(Date.now() - 1_000 * Math.random()).toISOString(),
  day: () => new Date(-3e12 + Math.random() * 1e12).toISOString().slice(0, 10),
};
const filled = (text) => text.replaceAll(/\{(\w+)\}/g, (_, name) => VARIABLES[name]());

function attack() {
  const sending = request(
    {
      host: '127.0.0.1',
      port,
      agent,
      path: filled(path),
      headers: Object.fromEntries(headers.map((header) => filled(header).split(': '))),
    },
    (response) => {
      response.resume().once('close', attack);
    },
  );
  sending.once('error', () => setTimeout(attack, 10)).end();
}

for (let connection = 0; connection < Number(connections); connection += 1) attack();
process.send('attacks');
