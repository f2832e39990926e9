// Pipelines requests: `node pipeline.mjs <port> <how> <connections> <path>…`, where `how` is
//   flood   as many as the service takes
//   turns   16, and 16 more once they are answered
//   leave   250 behind a stream, and closes the connection
//   reset   16, and resets the connection
//   unread  250, and reads nothing
import { connect } from 'node:net';

const [port, how, connections, ...paths] = process.argv.slice(2);
const get = (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const requests = (count) =>
  Array.from({ length: count }, (_, index) => get(paths[index % paths.length])).join('');

const MANY = requests(250);
const SIXTEEN = requests(16);

const WAYS = {
  flood(socket) {
    const fill = () => {
      while (socket.writable && socket.write(MANY));
    };
    fill();
    socket.on('drain', fill).resume();
  },
  turns(socket) {
    let unanswered = 16;
    socket.write(SIXTEEN);
    socket.setEncoding('latin1').on('data', (text) => {
      unanswered -= text.split('HTTP/1.1 ').length - 1;
      if (unanswered > 0) return;
      unanswered = 16;
      socket.write(SIXTEEN);
    });
  },
  leave(socket) {
    socket.write(get('/v1/events') + MANY, () => setTimeout(() => socket.destroy(), 5));
  },
  reset(socket) {
    socket.write(SIXTEEN, () => socket.resetAndDestroy());
  },
  unread(socket) {
    socket.pause().write(MANY);
  },
};

function attack() {
  const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: '127.0.0.3' });
  socket.on('connect', () => WAYS[how](socket));
  socket.on('error', () => {}).on('close', () => setTimeout(attack, 2));
}

for (let connection = 0; connection < Number(connections); connection += 1) attack();
process.send('attacks');
