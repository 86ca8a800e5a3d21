// Two projects: `fast` needs nothing but Node (unit and architecture tests, part of `npm run verify`);
// `real` runs against a real Redis and a real Postgres, started once by test/support/global-setup.ts.
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Of those with many processes, many seeds or locks that must end each is long: begun last, one would keep a worker busy and the other idle. */
const LONG = /\/test\/(?:(?:sim|e2e)\/|integration\/queue\.)/;

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = (file: TestSpecification): boolean => LONG.test(file.moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  test: {
    testTimeout: 60_000,
    // What is waited for comes when the machine has time for it.
    expect: { poll: { timeout: 30_000 } },
    hookTimeout: 120_000,
    sequence: { sequencer: LongestFirst },
    // The report is what `.ci/run` counts from.
    reporters: ['default', ['json', { outputFile: 'test-report.json' }]],
    projects: [
      { extends: true, test: { name: 'fast', include: ['test/unit/**/*.test.ts', 'test/arch/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'real',
          include: ['test/{lua,integration,sim,e2e,fuzz}/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          // One more than the cores it is meant for: with two, two thirds of two cores were in use, since much is waited for.
          maxWorkers: 3,
        },
      },
    ],
  },
});
