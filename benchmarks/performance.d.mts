/** Axes of `npm run bench -- --json`, each with its command and machine. */
export type Measured = unknown;

/** What docs/performance/figures.json has. */
export function stored(): Measured;

/** docs/performance.md and its plots by name, as they should be. */
export function report(measured: Measured): {
  readonly page: string;
  readonly plots: Readonly<Record<string, string>>;
};
