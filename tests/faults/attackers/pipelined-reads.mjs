// Pipelines kept reads on one connection, as many as it can: `node pipelined-reads.mjs <port> <path>`.
import { connect } from 'node:net';

const [port, path] = process.argv.slice(2);
const requests = `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(250);

function attack() {
  const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: '127.0.0.3' });
  const fill = () => {
    while (socket.writable && socket.write(requests));
  };
  socket.on('connect', fill).on('drain', fill).resume();
  socket.on('error', () => {}).on('close', () => setTimeout(attack, 10));
}

attack();
process.send('attacks');
