import { failure, received } from './errors.js';

/** How an option compares with Node's of this name. */
export interface Comparison {
  /** Absent: the same. */
  readonly status?: Status;
  /** What is different, or why it is refused. */
  readonly note?: string;
  /** The code of the error with which it is refused. */
  readonly error?: string;
}

/** One option: what it takes, what it becomes, what it is when absent. */
export interface Option<Input, Value> extends Comparison {
  readonly absent: () => Value;
  readonly parse: (value: unknown, name: string) => Value;
  /** Only a type: what callers may pass. */
  readonly input?: Input;
}

/** `own`: Node has no such option. */
export type Status = 'same' | 'different' | 'unsupported' | 'own';

type Table = Record<string, Option<unknown, unknown>>;

/** What callers may pass for a table. */
export type Inputs<T> = {
  [K in keyof T]?: T[K] extends Option<infer Input, unknown> ? Input | undefined : never;
};

/** What parsing makes of it: everything is there and right. */
export type Values<T> = { [K in keyof T]: T[K] extends Option<unknown, infer V> ? V : never };

/**
 * Checks `options` against `table` and fills in defaults; throws the first error, which speaks of
 * them by `path`.
 */
export function parseOptions<T extends Table>(
  table: T,
  options: object,
  path = 'options',
): Values<T> {
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(table)) {
    const given = (options as Record<string, unknown>)[name];
    const option = table[name];
    values[name] = given == null ? option.absent() : option.parse(given, `${path}.${name}`);
  }
  return values as Values<T>;
}

/** Options must be an object, or absent. */
export function optionsObject(options: unknown): object {
  if (options == null) return {};
  if (typeof options === 'object') return options;
  throw failure('ERR_INVALID_ARG_TYPE', 'options', 'of type object', received(options));
}

/** Checked and read where it is used: by Node itself or by the modules that parse it. */
export function material<Input>(): Option<Input, unknown> {
  return { absent: () => undefined, parse: (value) => value };
}

export function flag<Absent extends boolean | undefined>(
  absent: Absent,
): Option<boolean, boolean | Absent> {
  return {
    absent: () => absent,
    parse(value, name) {
      if (typeof value === 'boolean') return value;
      throw failure('ERR_INVALID_ARG_TYPE', name, 'of type boolean', received(value));
    },
  };
}

export function callback<F extends (...args: never[]) => unknown>(): Option<F, F | undefined> {
  return {
    absent: () => undefined,
    parse(value, name) {
      if (typeof value === 'function') return value as F;
      throw failure('ERR_INVALID_ARG_TYPE', name, 'of type function', received(value));
    },
  };
}

export function text(absent: undefined, secret: boolean): Option<string, string | undefined> {
  return {
    absent: () => absent,
    parse(value, name) {
      if (typeof value === 'string') return value;
      throw failure('ERR_INVALID_ARG_TYPE', name, 'of type string', received(value, secret));
    },
  };
}

export function count<Absent extends number | undefined>(
  absent: Absent,
  max: number,
  min = 0,
): Option<number, number | Absent> {
  return {
    absent: () => absent,
    parse(value, name) {
      if (typeof value !== 'number')
        throw failure('ERR_INVALID_ARG_TYPE', name, 'of type number', received(value));
      if (!Number.isInteger(value) || value < min || value > max) {
        const range = `an integer >= ${min} and <= ${max}`;
        throw failure('ERR_OUT_OF_RANGE', name, range, String(value));
      }
      return value;
    },
  };
}

export function oneOf<V extends string>(choices: readonly V[], absent: V): Option<V, V> {
  const expected = `one of ${choices.map((choice) => `'${choice}'`).join(', ')}`;
  return {
    absent: () => absent,
    parse(value, name) {
      if ((choices as readonly unknown[]).includes(value)) return value as V;
      throw failure('ERR_INVALID_ARG_VALUE', name, expected, received(value));
    },
  };
}

/** An option of Node's that isn't honoured; `neutral` values ask for nothing and are accepted. */
export function unsupported(
  note: string,
  neutral: readonly unknown[] = [],
): Option<unknown, undefined> {
  return {
    absent: () => undefined,
    parse(value, name) {
      if (neutral.includes(value)) return undefined;
      throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', name, note);
    },
    status: 'unsupported',
    note,
    error: REFUSED,
  };
}

/** An option that Node has too, with another meaning or range; `error`: see Comparison. */
export function different<Input, Value>(
  note: string,
  option: Option<Input, Value>,
  error: string | null = REFUSED,
): Option<Input, Value> {
  return { ...option, status: 'different', note, ...(error !== null && { error }) };
}

const REFUSED = 'ERR_OFFLOOP_UNSUPPORTED_OPTION';

/** An option that Node does not have. */
export function own<Input, Value>(option: Option<Input, Value>): Option<Input, Value> {
  return { ...option, status: 'own' };
}
