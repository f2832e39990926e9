import type { Outlook } from './chain.ts';

export const SLUG = 'russell-2000-downside';

export type Answer = { status: number; location: string | null; body: Outlook };

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
