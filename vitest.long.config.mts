import { defineConfig } from 'vitest/config';

/** Attacks, faults and soaks: `npm run test:long`. */
export default defineConfig({
  test: {
    include: ['__test__/long/**/*.test.ts'],
    pool: 'forks',
    // One after the other: each measures memory, and wants the cores for its load.
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 60_000,
    // What they measured.
    disableConsoleIntercept: true,
  },
});
