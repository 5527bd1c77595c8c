/** How much of the long tests is run: `OFFLOOP_LONG_SCALE=0.1` is a tenth of each count. */
export function scaled(count: number): number {
  return Math.max(1, Math.round(count * scale));
}

/** `OFFLOOP_LONG_SEED` repeats what a run did. */
export const seed = setting('OFFLOOP_LONG_SEED', Date.now() % 1_000_000);

const scale = setting('OFFLOOP_LONG_SCALE', 1);

/** A number of the environment. */
export function setting(name: string, otherwise: number): number {
  const text = process.env[name];
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${name} must be a number above 0, got '${text}'`);
  return value;
}

/** What a test did or measured, for whoever reads the run's output. */
export function say(text: string): void {
  process.stdout.write(`   ${text}\n`);
}
