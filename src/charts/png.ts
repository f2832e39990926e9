import { Piscina } from 'piscina';

/** How many pictures may be wanted at once: what one thread makes in the time that anybody waits. */
const MOST_WANTED = 20;

// One thread, so that pictures never take more than one core from all else. It ends when nobody wants any.
const pool = new Piscina<string, Uint8Array>({
  // As the build made it, wherever this module runs from.
  filename: new URL('../../dist/charts/png-worker.js', import.meta.url).href,
  minThreads: 0,
  maxThreads: 1,
  idleTimeout: 30_000,
});

let wanted = 0;

/** More pictures are wanted than can be made in a time that anybody waits. */
export class TooManyPictures extends Error {}

/**
 * A picture with its SVG document made into a PNG of its own size, by a thread beside this one.
 * @param draw makes the document, once it is known that there is room
 * @throws TooManyPictures before anything is drawn
 */
export async function asPng<Drawn extends { body: string }>(
  draw: () => Promise<Drawn>,
): Promise<Omit<Drawn, 'body'> & { body: Buffer }> {
  if (wanted >= MOST_WANTED) throw new TooManyPictures();
  wanted += 1;
  try {
    const drawn = await draw();
    const { buffer, byteOffset, byteLength } = await pool.run(drawn.body);
    return { ...drawn, body: Buffer.from(buffer, byteOffset, byteLength) };
  } finally {
    wanted -= 1;
  }
}
