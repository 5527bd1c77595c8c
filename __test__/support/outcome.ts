/** What a call throws, to be compared with what another does. */
export type Outcome = 'takes it' | { name: string; code: unknown; message: string };

export function outcome(call: () => unknown): Outcome {
  try {
    call();
    return 'takes it';
  } catch (error) {
    const { name, code, message } = error as NodeJS.ErrnoException;
    return { name, code, message };
  }
}
