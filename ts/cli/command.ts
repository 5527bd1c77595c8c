/** What a command of `offloop` is made of, and its help. */

export interface Command {
  /** What stands behind `offloop <name>` in the usage line. */
  readonly usage: string;
  /** Whether words beside the options mean something; if not, one of them is an error. */
  readonly takesWords?: boolean;
  /** What the summary does not say. */
  readonly description?: readonly string[];
  readonly examples: readonly string[];
  /** By long name. Read with `util.parseArgs`. */
  readonly options: Readonly<Record<string, CommandOption>>;
  /** Reads the values, does the work, and answers with the exit code. */
  run(values: Values, positionals: readonly string[]): Promise<number>;
}

export interface CommandOption {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  readonly multiple?: boolean;
  /** The name of the value in the help: `<ms>`, `<address>`. */
  readonly value?: string;
  /** What it does, with unit and default. */
  readonly help: string;
}

export type Values = Readonly<
  Record<string, string | boolean | readonly (string | boolean)[] | undefined>
>;

/** What a command can't do, said in one line that also says what to do; exit code 1. */
export class CommandError extends Error {
  /** The exit code. */
  readonly code: number = 1;
}

/** A command line that makes no sense; exit code 2. */
export class UsageError extends CommandError {
  override readonly code = 2;
}

/** The help of one command. */
export function helpOf(name: string, summary: string, command: Command): string {
  const rows = Object.entries({ ...command.options, help: helpOption }).map(
    ([long, option]): [string, string] => [
      `${option.short === undefined ? '    ' : `-${option.short}, `}--${long}${option.value === undefined ? '' : ` ${option.value}`}`,
      option.help + (option.multiple === true ? ' (may be repeated)' : ''),
    ],
  );
  const lines = [
    `Usage: offloop ${name} ${command.usage}`.trimEnd(),
    '',
    summary,
    ...(command.description === undefined ? [] : ['', ...command.description]),
    '',
    'Options:',
    ...table(rows),
    '',
    'Examples:',
    ...command.examples.map((example) => `  ${example}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** Two columns, the first as wide as it must be. */
export function table(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}

export const helpOption: CommandOption = { type: 'boolean', short: 'h', help: 'Show this help' };
