import { connect } from 'node:net';

export type RawResponse = { status: number; headers: Record<string, string>; body: string };

/** Sends bytes on a connection of their own, and reads the responses until the service or `ends` closes it. */
export async function sendRaw(port: number, bytes: string): Promise<RawResponse[]> {
  const socket = connect({ port, host: '127.0.0.1' });
  let text = '';
  socket.setEncoding('latin1').on('data', (part: string) => (text += part));
  socket.write(bytes, 'latin1');
  await new Promise((resolve) => socket.once('close', resolve));
  return responsesIn(text);
}

function responsesIn(text: string): RawResponse[] {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return [];
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [
      line.slice(0, line.indexOf(':')).toLowerCase(),
      line.slice(line.indexOf(':') + 2),
    ]),
  );
  const bodyEnd = end + 4 + Number(headers['content-length'] ?? 0);
  const status = Number(statusLine.split(' ')[1]);
  const body = text.slice(end + 4, bodyEnd);
  return [{ status, headers, body }, ...responsesIn(text.slice(bodyEnd))];
}

/** A request whose connection closes after its response. Header lines are sent as they are. */
export function rawRequest(start: string, lines: readonly string[], body = ''): string {
  return [start, ...lines, 'Connection: close', '', body].join('\r\n');
}
