import { failure, received } from './errors.js';

/** One option: what it takes, what it becomes, what it is when absent. */
export interface Option<Input, Value> {
  readonly absent: () => Value;
  readonly parse: (value: unknown, name: string) => Value;
  /** Only a type: what callers may pass. */
  readonly input?: Input;
}

type Table = Record<string, Option<unknown, unknown>>;

/** What callers may pass for a table. */
export type Inputs<T> = {
  [K in keyof T]?: T[K] extends Option<infer Input, unknown> ? Input | undefined : never;
};

/** What parsing makes of it: everything is there and right. */
export type Values<T> = { [K in keyof T]: T[K] extends Option<unknown, infer V> ? V : never };

/** Checks `options` against `table` and fills in defaults; throws the first error. */
export function parseOptions<T extends Table>(table: T, options: object): Values<T> {
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(table)) {
    const given = (options as Record<string, unknown>)[name];
    const option = table[name];
    values[name] = given == null ? option.absent() : option.parse(given, `options.${name}`);
  }
  return values as Values<T>;
}

/** Options must be an object, or absent. */
export function optionsObject(options: unknown): object {
  if (options == null) return {};
  if (typeof options === 'object') return options;
  throw failure('ERR_INVALID_ARG_TYPE', 'options', 'of type object', received(options));
}

export function material<Input>(): Option<Input, unknown> {
  // Read by the modules that parse keys and certificates.
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
export function unsupported(neutral: readonly unknown[] = []): Option<unknown, undefined> {
  return {
    absent: () => undefined,
    parse(value, name) {
      if (neutral.includes(value)) return undefined;
      throw failure('ERR_OFFLOOP_UNSUPPORTED_OPTION', name, 'offloop does not honour it');
    },
  };
}
