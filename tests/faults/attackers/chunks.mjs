// Sends bodies in chunks of one byte: `node chunks.mjs <port> <connections> <method> <path> [<key>]`.
import { connect } from 'node:net';

const [port, connections, method, path, key] = process.argv.slice(2);
const head =
  `${method} ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n` +
  `Content-Type: application/json\r\n${key ? `Authorization: Bearer ${key}\r\n` : ''}\r\n`;
const CHUNKS = '1\r\n1\r\n'.repeat(10_000);

function attack() {
  const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: '127.0.0.3' });
  const fill = () => {
    while (socket.writable && socket.write(CHUNKS));
  };
  socket.on('connect', () => {
    socket.write(head);
    fill();
  });
  socket.on('drain', fill).resume();
  socket.on('error', () => {}).on('close', () => setTimeout(attack, 2));
}

for (let connection = 0; connection < Number(connections); connection += 1) attack();
process.send('attacks');
