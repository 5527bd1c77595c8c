/** Files that a user named: what fails says which file, why, and what to do. */
import { readFileSync } from 'node:fs';
import { getSystemErrorMap } from 'node:util';
import { CommandError } from './command.js';

/** The text of a file. `advice` says what to do when it can't be read. */
export function readText(file: string, advice: string): string {
  return attempt(`read ${file}`, advice, () => readFileSync(file, 'utf8'));
}

/** Does `work`, and turns the error of a system call into one of a command. */
export function attempt<Result>(what: string, advice: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw new CommandError(`can't ${what} (${reason(error as NodeJS.ErrnoException)}): ${advice}`, {
      cause: error,
    });
  }
}

/** In the system's words: `no such file or directory`. */
export function reason({ errno, code, message }: NodeJS.ErrnoException): string {
  return getSystemErrorMap().get(errno ?? 0)?.[1] ?? code ?? message;
}
