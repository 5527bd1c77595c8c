/** What `offloop doctor` finds. */

/**
 * - `ok`: as it should be.
 * - `note`: good to know.
 * - `warning`: works, but worse than it could, or not for all clients.
 * - `problem`: does not work.
 */
export type Level = 'ok' | 'note' | 'warning' | 'problem';

export interface Finding {
  readonly level: Level;
  /** What it is about, in a word or two. */
  readonly about: string;
  /** What is. */
  readonly text: string;
  /** What to do; absent if nothing is. */
  readonly advice?: string;
}

export const ok = (about: string, text: string): Finding => ({ level: 'ok', about, text });

export const note = (about: string, text: string, advice?: string): Finding => ({
  level: 'note',
  about,
  text,
  ...(advice === undefined ? {} : { advice }),
});

export const warning = (about: string, text: string, advice: string): Finding => ({
  level: 'warning',
  about,
  text,
  advice,
});

export const problem = (about: string, text: string, advice: string): Finding => ({
  level: 'problem',
  about,
  text,
  advice,
});
