import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['__test__/**/*.test.ts'],
    // `npm run test:long` has a configuration of its own.
    exclude: ['__test__/long/**', '**/node_modules/**'],
    // Threads of one process would share offloop's counters, which tests read.
    pool: 'forks',
    // Generous: a test waits for events, and says itself what must not take long.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
