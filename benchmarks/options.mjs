// Command-line options from one table: `--name value` or `--name=value`.

/** A wrong command line; its message is one line for the user. */
export class UsageError extends Error {}

/** A number from `min` to `max`. */
export const number = (min, max, { integer = false } = {}) => ({
  placeholder: 'N',
  expected: `${integer ? 'a whole number' : 'a number'} from ${min} to ${max}`,
  parse(text) {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    const fits = value >= min && value <= max && (!integer || Number.isInteger(value));
    return fits ? value : undefined;
  },
});

/** One of `names`. */
export const choice = (names) => ({
  placeholder: 'NAME',
  expected: `one of ${names.join(', ')}`,
  parse: (text) => (names.includes(text) ? text : undefined),
});

/** Some of `names`, with commas between. */
export const choices = (names) => ({
  placeholder: 'NAMES',
  expected: `some of ${names.join(', ')}, with commas between`,
  parse(text) {
    const chosen = text.split(',');
    return chosen.every((name) => names.includes(name)) ? [...new Set(chosen)] : undefined;
  },
});

/** A path. */
export const path = () => ({
  placeholder: 'PATH',
  expected: 'a path',
  parse: (text) => text || undefined,
});

/**
 * Reads `argv` by a table of `{ name: { type, default, help } }`.
 * @returns the values by name, or null when help was asked for
 * @throws {UsageError} with one line
 */
export function parseOptions(table, argv) {
  const values = Object.fromEntries(
    Object.entries(table).map(([name, option]) => [name, option.default]),
  );
  const words = argv.flatMap((word) => {
    const equals = word.startsWith('--') ? word.indexOf('=') : -1;
    return equals < 0 ? [word] : [word.slice(0, equals), word.slice(equals + 1)];
  });
  while (words.length > 0) {
    const word = words.shift();
    if (word === '--help' || word === '-h') return null;
    const name = word.startsWith('--') ? word.slice(2) : undefined;
    if (name === undefined) throw new UsageError(`unexpected '${word}'; see --help`);
    if (!Object.hasOwn(table, name)) {
      throw new UsageError(`unknown option ${word}; there are ${optionList(table)}`);
    }
    const { type } = table[name];
    const text = words.shift();
    if (text === undefined) throw new UsageError(`${word} needs a value: ${type.expected}`);
    values[name] = type.parse(text);
    if (values[name] === undefined) {
      throw new UsageError(`${word} expects ${type.expected}, got '${text}'`);
    }
  }
  return values;
}

/** The help text of a table. */
export function help(usage, table) {
  const lines = Object.entries(table).map(([name, option]) => {
    const fallback = option.default === undefined ? '' : ` (default ${option.default})`;
    const left = `  --${name} ${option.type.placeholder}`.padEnd(24);
    return `${left}${option.help}: ${option.type.expected}${fallback}`;
  });
  return [usage, '', ...lines, ''].join('\n');
}

/**
 * Parses, or ends the process: 0 after --help, 2 after a wrong command line.
 * @returns the values by name
 */
export function optionsOrExit(usage, table) {
  try {
    const options = parseOptions(table, process.argv.slice(2));
    if (options) return options;
    process.stdout.write(help(usage, table));
    process.exit(0);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(2);
  }
}

const optionList = (table) =>
  Object.keys(table)
    .map((name) => `--${name}`)
    .join(', ');
