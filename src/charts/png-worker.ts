import { createRequire } from 'node:module';
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

/** Renders an SVG document as a PNG of its own size. Runs in the worker thread of charts/png.ts. */
export default function render(svg: string): Uint8Array {
  return new Resvg(svg, { font: FONT }).render().asPng();
}
