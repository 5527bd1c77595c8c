#!/usr/bin/env node
/** `npx offloop`: finds the command, reads its options, and turns its failure into one line. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import {
  type Command,
  CommandError,
  helpOf,
  helpOption,
  table,
  UsageError,
} from './cli/command.js';
import { commands } from './cli/commands.js';
import { version } from './version.js';

// A reader that has gone, `head` for example, is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

// A bug is an unhandled rejection, which keeps its stack.
void main(process.argv.slice(2)).then((code) => (process.exitCode = code));

async function main(words: readonly string[]): Promise<number> {
  const [name, ...rest] = words;
  try {
    switch (name) {
      case undefined:
        process.stderr.write(overview());
        return 2;
      case 'help':
      case '--help':
      case '-h':
        process.stdout.write(rest[0] === undefined ? overview() : await help(rest[0]));
        return 0;
      case '--version':
      case '-v':
        process.stdout.write(`${version}\n`);
        return 0;
      default:
        return await run(name, rest);
    }
  } catch (error) {
    return complain(name === undefined ? 'offloop' : `offloop ${name}`, error);
  }
}

async function run(name: string, words: string[]): Promise<number> {
  const command = await load(name);
  const { values, positionals } = read(name, command, words);
  if (values['help'] === true) {
    process.stdout.write(await help(name));
    return 0;
  }
  return command.run(values, positionals);
}

function read(name: string, command: Command, words: string[]) {
  const options: ParseArgsOptionsConfig = {};
  for (const [long, { type, short, multiple }] of Object.entries({
    ...command.options,
    help: helpOption,
  })) {
    options[long] = {
      type,
      ...(short === undefined ? {} : { short }),
      ...(multiple === undefined ? {} : { multiple }),
    };
  }
  try {
    const allowPositionals = command.takesWords === true;
    return parseArgs({ args: words, options, allowPositionals, strict: true });
  } catch (error) {
    // Its first sentence says what is wrong.
    const [what] = (error as Error).message.split(/\. (?=[A-Z])|\n/, 1);
    throw new UsageError(`${what}; offloop ${name} --help tells the options`);
  }
}

/** One line without a stack: what went wrong is the user's to mend. A bug keeps its stack. */
function complain(prefix: string, error: unknown): number {
  if (error instanceof CommandError || isSystemError(error)) {
    process.stderr.write(`${prefix}: ${error.message.replaceAll('\n', ' ')}\n`);
    return error instanceof CommandError ? error.code : 1;
  }
  throw error;
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error;
}

function overview(): string {
  const rows = Object.entries(commands).map(([name, { summary }]) => [name, summary] as const);
  return `${[
    'Usage: offloop <command> [options]',
    '',
    "TLS off Node's event loop.",
    '',
    'Commands:',
    ...table(rows),
    '',
    'offloop <command> --help tells its options. offloop --version tells the version.',
  ].join('\n')}\n`;
}

async function help(name: string): Promise<string> {
  const command = await load(name);
  return helpOf(name, commands[name]!.summary, command);
}

async function load(name: string): Promise<Command> {
  if (Object.hasOwn(commands, name)) return (await commands[name]!.load()).command;
  throw new UsageError('no such command; offloop --help tells which there are');
}
