import { defineConfig } from 'vitest/config';

// What takes minutes: processes that are killed, requests by the ten thousand. On loopback only.
export default defineConfig({
  test: {
    include: ['tests/faults/**/*.fault.ts', 'tests/http/generated.test.ts'],
    globalSetup: ['tests/support/cluster.ts'],
    env: { FUZZ_FACTOR: '8' },
    fileParallelism: false,
    testTimeout: 1_800_000,
    hookTimeout: 120_000,
  },
});
