import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take longer than their size tells: they begin first, so that all workers end together. */
const LONG = /tests\/(server|commands|http\/generated|webhooks\/processes|postgres\/embedded)/;

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => LONG.test(moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    globalSetup: ['tests/support/cluster.ts'],
    maxWorkers: 2,
    sequence: { sequencer: LongFirst },
    // Loading src for each of the files anew would take longer than most of them.
    isolate: false,
    // Deadlines end what hangs, however busy the machine is.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000, interval: 20 } },
    coverage: {
      provider: 'v8',
      include: ['src/**/*.{ts,tsx}'],
      // Run as processes of their own, or in Chromium by tests/browser, which coverage can't see.
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
