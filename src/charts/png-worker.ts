import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Resvg } from '@resvg/resvg-js';

const require = createRequire(import.meta.url);
// Our own font, so that charts are the same on every machine, even one without fonts.
const fontFiles = ['DejaVuSans.ttf', 'DejaVuSans-Bold.ttf'].map((name) =>
  require.resolve(`dejavu-fonts-ttf/ttf/${name}`),
);
const FONT = {
  fontFiles,
  loadSystemFonts: false,
  defaultFontFamily: 'DejaVu Sans',
  sansSerifFamily: 'DejaVu Sans',
};

// V8 doesn't see the memory that the renderer takes outside of its heap, a few megabytes for each PNG, and would collect
// hundreds of them too late.
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as (options: { type: 'minor' }) => void;
const COLLECT_EVERY = 8;
let rendered = 0;

/** Renders an SVG document as a PNG of its own size. Runs in the worker thread of charts/png.ts. */
export default function render(svg: string): Uint8Array {
  rendered += 1;
  if (rendered % COLLECT_EVERY === 0) collectGarbage({ type: 'minor' });
  return new Resvg(svg, { font: FONT }).render().asPng();
}
