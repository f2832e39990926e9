import { createRequire } from 'node:module';
import { renderAsync } from '@resvg/resvg-js';
import pLimit from 'p-limit';

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

// Of the four threads that Node has for such work, others are left to who compresses and looks up names.
const atOnce = pLimit(2);

/** An SVG document as a PNG of its own size, made off the event loop; two at once at the most. */
export async function pngOf(svg: string): Promise<Buffer> {
  const image = await atOnce(() => renderAsync(svg, { font: FONT }));
  return image.asPng();
}
