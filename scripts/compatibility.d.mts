/** One name of Node's and how it is with offloop. */
export interface Row {
  readonly name: string;
  readonly status: 'same' | 'different' | 'unsupported' | 'own';
  readonly note?: string;
  readonly error?: string;
  /** Versions of Node that have it; absent: all from 20 on. */
  readonly node?: string;
}

export interface Section {
  /** What it is about: its key. */
  readonly of: string;
  readonly title: string;
  readonly text?: string;
  readonly rows: readonly Row[];
}

/** docs/compatibility.md, as it should be. */
export function page(): string;

export function sections(): Section[];
