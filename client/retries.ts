/** The longest wait that a `Retry-After` may ask for, in milliseconds. */
const MAX_RETRY_AFTER = 3_600_000;

/** How long a response asks to wait, in milliseconds; 0 if it does not say. */
export function retryAfter(response: Response): number {
  const value = response.headers.get('retry-after') ?? '';
  const wait = /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now();
  return Math.min(MAX_RETRY_AFTER, Math.max(0, wait || 0));
}

/** Waits for a time, in milliseconds, or until the signal aborts. Never rejects. */
export function pause(milliseconds: number, signal?: AbortSignal | null): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener('abort', end);
    if (signal?.aborted) end();
  });
}

/** Statuses with which the same request may succeed later. */
const TEMPORARY = new Set([408, 429, 500, 502, 503, 504]);

/** Whether the same request may succeed later. */
export function isTemporary({ status }: Response): boolean {
  return TEMPORARY.has(status);
}
