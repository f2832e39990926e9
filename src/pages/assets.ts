import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { z } from 'zod';
import { CSS_TYPE, JAVASCRIPT_TYPE, type MediaType, SVG_TYPE } from '../http/negotiation.ts';
import { Problem } from '../http/problems.ts';
import type { Api } from '../http/routing.ts';

const require = createRequire(import.meta.url);
const ours = (path: string): URL => new URL(`../../${path}`, import.meta.url);

// The assets of pages. The scripts are modules that the build made from src/browser; they import each
// other by name.
const ASSETS: Record<string, { type: MediaType; file: URL | string }> = {
  'icon.svg': { type: SVG_TYPE, file: ours('assets/icon.svg') },
  'page.css': { type: CSS_TYPE, file: ours('assets/page.css') },
  'pico.css': {
    type: CSS_TYPE,
    file: require.resolve('@picocss/pico/css/pico.classless.min.css'),
  },
  'idiomorph.js': {
    type: JAVASCRIPT_TYPE,
    file: require.resolve('idiomorph/dist/idiomorph.min.js'),
  },
  'page.js': { type: JAVASCRIPT_TYPE, file: ours('dist/browser/page.js') },
  'live.js': { type: JAVASCRIPT_TYPE, file: ours('dist/browser/live.js') },
  'revise.js': { type: JAVASCRIPT_TYPE, file: ours('dist/browser/revise.js') },
  'revise-panel.js': { type: JAVASCRIPT_TYPE, file: ours('dist/browser/revise-panel.js') },
  'publishing.js': { type: JAVASCRIPT_TYPE, file: ours('dist/browser/publishing.js') },
  'inbox.js': { type: JAVASCRIPT_TYPE, file: ours('dist/browser/inbox.js') },
  'inbox-api.js': { type: JAVASCRIPT_TYPE, file: ours('dist/browser/inbox-api.js') },
  'inbox-changes.js': { type: JAVASCRIPT_TYPE, file: ours('dist/browser/inbox-changes.js') },
  'inbox-panel.js': { type: JAVASCRIPT_TYPE, file: ours('dist/browser/inbox-panel.js') },
  'linked-points.js': { type: JAVASCRIPT_TYPE, file: ours('dist/browser/linked-points.js') },
};

/** The text of an asset that a page has inline. */
export function assetText(name: string): string {
  const asset = ASSETS[name];
  if (!asset) throw new Error(`there is no asset ${name}`);
  return readFileSync(asset.file, 'utf8');
}

type Asset = { type: MediaType; body: Buffer };

/**
 * Serves the assets of pages under a digest of all of them, so that they may be cached forever and a page
 * never gets assets of another release.
 * @returns their path, from the root
 */
export function assetRoutes(api: Api, { cache }: { cache: ResponseCache }): string {
  const assets = new Map<string, Asset>(
    Object.entries(ASSETS).map(([name, { type, file }]) => [
      name,
      { type, body: readFileSync(file) },
    ]),
  );
  const hash = createHash('sha256');
  for (const { body } of assets.values()) hash.update(body);
  const digest = hash.digest('base64url').slice(0, 16);
  api.route({
    method: 'GET',
    url: '/assets/:digest/:name',
    config: { access: 'public', serves: [CSS_TYPE, JAVASCRIPT_TYPE, SVG_TYPE] },
    schema: { hide: true, params: z.strictObject({ digest: z.string(), name: z.string() }) },
    handler: async (request, reply) => {
      const { params } = request;
      const asset = params.digest === digest ? assets.get(params.name) : undefined;
      if (!asset) throw new Problem('not-found', 'This release has no such asset.');
      const { type, body } = asset;
      await cache.answer(request, reply, { tags: [] }, async () => ({
        body,
        type,
        freshness: 'immutable',
      }));
    },
  });
  return `/assets/${digest}`;
}
