import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['__test__/**/*.test.ts'],
    // Threads of one process would share offloop's counters, which tests read.
    pool: 'forks',
    // Generous: a test waits for events, and says itself what must not take long.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
