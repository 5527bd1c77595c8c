export interface Guide {
  readonly name: string;
  /** As it is. */
  readonly text: string;
  /** As it should be. */
  readonly due: string;
  /** Paths of the programs that it shows. */
  readonly programs: readonly string[];
}

export function pages(): Guide[];
