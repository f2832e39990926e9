import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import type { Outlook } from './chain.ts';

export const SLUG = 'russell-2000-downside';

export type Answer = { status: number; location: string | null; body: Outlook };

const agent = new Agent({ keepAlive: true });

export type Exchange = { status: number; headers: IncomingHttpHeaders; text: string };

/**
 * Sends a request, with `body` as JSON. For tests that send thousands: it takes a third of the time
 * that `fetch` takes.
 */
export function exchange(
  method: 'GET' | 'POST',
  url: string,
  headers: Record<string, string>,
  body?: object,
): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const sending = request(url, { method, agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.once('error', reject).once('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
      });
    });
    sending.once('error', reject);
    if (body) sending.setHeader('content-type', 'application/json');
    sending.end(body && JSON.stringify(body));
  });
}

export async function get(origin: string, url: string): Promise<Outlook> {
  const response = await fetch(origin + url);
  if (!response.ok) throw new Error(`GET ${url} answered ${response.status}`);
  return (await response.json()) as Outlook;
}

export async function revise(origin: string, key: string, body: unknown): Promise<Answer> {
  const response = await fetch(`${origin}/v1/outlooks/${SLUG}/revisions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const location = response.headers.get('location');
  return { status: response.status, location, body: (await response.json()) as Outlook };
}
