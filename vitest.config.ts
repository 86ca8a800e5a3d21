// Two projects: `fast` needs nothing but Node (unit and architecture tests, part of `npm run verify`);
// `real` runs against a real Redis and a real Postgres, started once by test/support/global-setup.ts.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // The report is what `.ci/run` counts from.
    reporters: ['default', ['json', { outputFile: 'test-report.json' }]],
    projects: [
      { extends: true, test: { name: 'fast', include: ['test/unit/**/*.test.ts', 'test/arch/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'real',
          include: ['test/{lua,integration,e2e}/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          maxWorkers: 2,
        },
      },
    ],
  },
});
