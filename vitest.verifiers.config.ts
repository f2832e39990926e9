import { defineConfig } from 'vitest/config';

// What others' programs make of the transparency log. Go's modules come from their proxy.
export default defineConfig({
  test: {
    include: ['tests/outside-verifiers/*.verifiers.ts'],
    fileParallelism: false,
    testTimeout: 1_800_000,
    hookTimeout: 600_000,
  },
});
