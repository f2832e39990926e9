import { createRequire } from 'node:module';
import { Resvg } from '@resvg/resvg-js';

const require = createRequire(import.meta.url);
// A font of our own: pictures are the same on every machine, also on one that has no font.
const fontFiles = ['DejaVuSans.ttf', 'DejaVuSans-Bold.ttf'].map((name) =>
  require.resolve(`dejavu-fonts-ttf/ttf/${name}`),
);
const FONT = {
  fontFiles,
  loadSystemFonts: false,
  defaultFontFamily: 'DejaVu Sans',
  sansSerifFamily: 'DejaVu Sans',
};

/** An SVG document as a PNG of its own size; what charts/png.ts has a thread do. */
export default function render(svg: string): Uint8Array {
  return new Resvg(svg, { font: FONT }).render().asPng();
}
