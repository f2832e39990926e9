import { vi } from 'vitest';

let skipped = 0;

/** Reads metrics that are rendered anew: otherwise a rendering is shared for a second. */
export async function freshly<Result>(read: () => Promise<Result>): Promise<Result> {
  const later = Date.now() + (skipped += 2_000);
  const clock = vi.spyOn(Date, 'now').mockReturnValue(later);
  try {
    return await read();
  } finally {
    clock.mockRestore();
  }
}
