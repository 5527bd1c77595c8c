/** Builds the client where cargo finds it stale; the path of the program. */
export function buildLoadProgram(signal?: AbortSignal): Promise<string>;

/** One run of the client. */
export class Load {
  constructor(program: string, args: readonly string[]);

  /** Waits for the end; its last line, whose shape depends on the mode. */
  finished<T>(): Promise<T>;

  stop(): void;
}
