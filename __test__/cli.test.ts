/** `npx offloop`: help, errors, pipes. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, it } from 'vitest';

import { commands, pages } from '../scripts/commands.mjs';
import { CLI, expectOneLine, offloop } from './support/cli.js';
import { PACKAGE } from './support/faults/child.js';
import { run } from './support/faults/commands.js';

const names = Object.keys(commands);
const isFlag = ({ type }: { type: string }): boolean => type === 'boolean';

describe('help', () => {
  it.each([['--help'], ['-h'], ['help']])('of the whole by %s names each command', async (word) => {
    const { code, stdout, stderr } = await offloop([word]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('Usage: offloop <command> [options]\n');
    for (const name of names) expect(stdout).toMatch(new RegExp(`^  ${name} +\\S`, 'm'));
  });

  it.each(names)('of %s has usage, options and examples', async (name) => {
    const help = await offloop([name, '--help']);
    expect(help.code).toBe(0);
    expect(help.stdout).toMatch(new RegExp(`^Usage: offloop ${name}\\b`));
    expect(help.stdout).toContain('\nOptions:\n');
    expect(help.stdout).toMatch(new RegExp(`\nExamples:\n  offloop ${name}\\b`));
    // A terminal's width, but for examples.
    const wide = help.stdout
      .split('\nExamples:')[0]!
      .split('\n')
      .filter((line) => line.length > 100);
    expect(wide).toEqual([]);
    expect(await offloop([name, '-h'])).toEqual(help);
    expect(await offloop(['help', name])).toEqual(help);
    // Whatever else is asked for.
    const { command } = await commands[name]!.load();
    const flag = Object.keys(command.options).find((each) => isFlag(command.options[each]!));
    expect(await offloop([name, '--help', `--${flag}`])).toEqual(help);
  });

  it('is what docs/commands.md shows, of each command', async () => {
    const { now, wanted, names: shown } = await pages();
    expect(now).toBe(wanted);
    expect(shown.toSorted()).toEqual(names.toSorted());
    for (const name of names) expect(now).toContain(`\n## offloop ${name}\n`);
  });

  it('without a command is an error that shows the commands', async () => {
    const { code, stdout, stderr } = await offloop([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('Usage: offloop <command>');
  });
});

it.each(['--version', '-v'])('%s prints that of the package', async (word) => {
  const manifest = JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8')) as {
    version: string;
  };
  const { code, output } = await offloop([word]);
  expect({ code, output }).toEqual({ code: 0, output: `${manifest.version}\n` });
});

describe('what makes no sense is one line and exit code 2:', () => {
  it.each(['frobnicate', 'constructor', '__proto__', '--frobnicate', ''])(
    'the command "%s"',
    async (name) => {
      expectOneLine(await offloop([name]), 2, /no such command; offloop --help/);
    },
  );

  it('help of no command', async () => {
    expectOneLine(await offloop(['help', 'frobnicate']), 2, /no such command/);
  });

  it.each(names)('an unknown option of %s', async (name) => {
    const words = new RegExp(
      `^offloop ${name}: Unknown option '--frobnicate'; offloop ${name} --help`,
    );
    expectOneLine(await offloop([name, '--frobnicate']), 2, words);
  });

  it('a word too many', async () => {
    expectOneLine(await offloop(['doctor', 'now']), 2, /Unexpected argument 'now'; .*--help/);
  });

  it('an option without its value, and a value without its option', async () => {
    expectOneLine(await offloop(['cert', '--out']), 2, /'-o, --out <value>' argument missing/);
    expectOneLine(await offloop(['cert', '--json=1']), 2, /'--json' does not take an argument/);
  });
});

describe('piped', () => {
  const commandLines = ['--help', 'cert --help', 'doctor', 'doctor --json'];

  it.each(commandLines)('%s has no codes of colours', async (line) => {
    const { output } = await offloop(line.split(' '), {
      env: { FORCE_COLOR: '1', TERM: 'xterm-256color' },
    });
    expect(output.length).toBeGreaterThan(100);
    // oxlint-disable-next-line no-control-regex -- this is what is looked for
    expect(output).not.toMatch(/\u001B/);
  });

  it.each(commandLines)('%s ends well when its reader has gone', async (line) => {
    // `head` reads a part; `true` has gone before anything is written.
    for (const reader of ['head -n 1', 'true']) {
      const script = `{ "$@"; echo "exit code $?" >&2; } | ${reader}`;
      const { stderr } = await run('sh', [
        '-c',
        script,
        'sh',
        process.execPath,
        CLI,
        ...line.split(' '),
      ]);
      expect(stderr).toBe('exit code 0\n');
    }
  });
});
