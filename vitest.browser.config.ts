import { defineConfig } from 'vitest/config';

// What only a browser shows: Chromium by the path in CHROMIUM_PATH, or else the Chrome that is installed.
export default defineConfig({
  test: {
    include: ['tests/browser/**/*.browser.ts'],
    globalSetup: ['tests/support/cluster.ts'],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
