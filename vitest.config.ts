import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    globalSetup: ['tests/support/cluster.ts'],
    maxWorkers: 2,
    // Loading src for each of the files anew would take longer than most of them.
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    coverage: {
      provider: 'v8',
      include: ['src/**/*.{ts,tsx}'],
      // Run as processes of their own by tests/process, or in Chromium by tests/browser, which coverage can't see.
      exclude: [
        'src/browser/{page,live,revise}.ts',
        'src/charts/png-worker.ts',
        'src/server.ts',
        'src/commands/keys.ts',
        'src/commands/verify.ts',
        'src/commands/openapi.ts',
        'src/commands/schema.ts',
      ],
      reporter: ['text', 'json-summary'],
      thresholds: { statements: 88, branches: 83, functions: 87, lines: 89 },
    },
  },
});
