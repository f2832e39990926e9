import { Piscina } from 'piscina';

/** The maximum queue length: what one thread can render in an acceptable time. */
const MOST_WAITING = 20;

// One thread, so that charts never use more than one core. It ends when idle.
const pool = new Piscina<string, Uint8Array>({
  // The built file, wherever this module runs from.
  filename: new URL('../../dist/charts/png-worker.js', import.meta.url).href,
  minThreads: 0,
  maxThreads: 1,
  idleTimeout: 30_000,
});

let waiting = 0;

/** The render queue is full. */
export class PngQueueFull extends Error {}

/**
 * Renders a chart's SVG document as a PNG of its own size, in a worker thread.
 * @param draw makes the document, once there is room in the queue
 * @throws TooManyPictures before anything is drawn
 */
export async function asPng<Drawn extends { body: string }>(
  draw: () => Promise<Drawn>,
): Promise<Omit<Drawn, 'body'> & { body: Buffer }> {
  if (waiting >= MOST_WAITING) throw new PngQueueFull();
  waiting += 1;
  try {
    const drawn = await draw();
    const { buffer, byteOffset, byteLength } = await pool.run(drawn.body);
    return { ...drawn, body: Buffer.from(buffer, byteOffset, byteLength) };
  } finally {
    waiting -= 1;
  }
}
