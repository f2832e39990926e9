import { Piscina } from 'piscina';

/** How many pictures wait for their turn, at the most. */
const MOST_WAITING = 20;

// One thread, so that pictures never take more than one core from all else. It ends when nobody wants any.
const pool = new Piscina<string, Uint8Array>({
  // As the build made it, wherever this module runs from.
  filename: new URL('../../dist/charts/png-worker.js', import.meta.url).href,
  minThreads: 0,
  maxThreads: 1,
  idleTimeout: 30_000,
});

/** More pictures are wanted than can be made in a time that anybody waits. */
export class TooManyPictures extends Error {}

/**
 * An SVG document as a PNG of its own size, made by a thread beside this one.
 * @throws TooManyPictures where many wait already
 */
export async function pngOf(svg: string): Promise<Buffer> {
  if (pool.queueSize >= MOST_WAITING) throw new TooManyPictures();
  const bytes = await pool.run(svg);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
