import { Piscina } from 'piscina';

/** The maximum queue length: what one thread can render in an acceptable time. */
const MOST_WAITING = 20;
/** How many charts of one address may be in the queue: a fifth, so that there is room for others. */
const MOST_PER_ADDRESS = Math.max(1, Math.floor(MOST_WAITING / 5));
/** How long a chart may take in the queue and to render, in milliseconds. A full queue usually takes a fraction of that. */
const RENDER_WITHIN = 15_000;

// One thread, so that charts never use more than one core. It ends when idle.
const pool = new Piscina<string, Uint8Array>({
  // The built file, wherever this module runs from.
  filename: new URL('../../dist/charts/png-worker.js', import.meta.url).href,
  minThreads: 0,
  maxThreads: 1,
  idleTimeout: 30_000,
});

let waiting = 0;
const perAddress = new Map<string, number>();

/** The render queue is full, for everyone or for one address, or a chart took too long. */
export class PngQueueFull extends Error {
  /** How many charts of the address are in the queue, if that is too many; null if the queue is full for everyone. */
  readonly ofAddress: number | null;

  constructor(ofAddress: number | null) {
    super();
    this.ofAddress = ofAddress;
  }
}

/**
 * Renders a chart's SVG document as a PNG of its own size, in a worker thread.
 * @param address the client's address; its charts may fill a fifth of the queue
 * @param draw makes the document, once there is room in the queue
 * @throws PngQueueFull before anything is drawn, or if rendering takes too long
 */
export async function asPng<Drawn extends { body: string }>(
  address: string,
  draw: () => Promise<Drawn>,
): Promise<Omit<Drawn, 'body'> & { body: Buffer }> {
  const ofAddress = perAddress.get(address) ?? 0;
  if (ofAddress >= MOST_PER_ADDRESS) throw new PngQueueFull(ofAddress);
  if (waiting >= MOST_WAITING) throw new PngQueueFull(null);
  waiting += 1;
  perAddress.set(address, ofAddress + 1);
  try {
    const drawn = await draw();
    const { buffer, byteOffset, byteLength } = await render(drawn.body);
    return { ...drawn, body: Buffer.from(buffer, byteOffset, byteLength) };
  } finally {
    waiting -= 1;
    const left = (perAddress.get(address) ?? 1) - 1;
    if (left === 0) perAddress.delete(address);
    else perAddress.set(address, left);
  }
}

/** @throws PngQueueFull if it takes too long; a thread that is busy with it is then replaced */
async function render(svg: string): Promise<Uint8Array> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), RENDER_WITHIN);
  try {
    return await pool.run(svg, { signal: late.signal });
  } catch (error) {
    throw late.signal.aborted ? new PngQueueFull(null) : error;
  } finally {
    clearTimeout(timer);
  }
}
