import { defineConfig } from 'vitest/config';

// What generators make of the OpenAPI document. Compiling takes minutes, and packages come from their registries.
export default defineConfig({
  test: {
    include: ['tests/generated-clients/*.clients.ts'],
    fileParallelism: false,
    testTimeout: 1_800_000,
    hookTimeout: 120_000,
  },
});
