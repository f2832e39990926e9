import { defineConfig } from 'vitest/config';

// What takes minutes: processes that are killed, and requests by the ten thousand. On loopback only.
export default defineConfig({
  test: {
    include: ['tests/faults/**/*.fault.ts'],
    fileParallelism: false,
    testTimeout: 1_800_000,
    hookTimeout: 120_000,
  },
});
