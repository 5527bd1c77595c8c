/** Values of options, as commands want them. */
import { UsageError, type Values } from './command.js';

/** The value of an option that may be given once. */
export function text(values: Values, name: string): string | undefined {
  return values[name] as string | undefined;
}

/** The values of an option that may be repeated. */
export function texts(values: Values, name: string): readonly string[] {
  return (values[name] as readonly string[] | undefined) ?? [];
}

export function flag(values: Values, name: string): boolean {
  return values[name] === true;
}

/** A whole number in decimal. */
export function wholeNumber(
  values: Values,
  name: string,
  { least, most, otherwise }: { least: number; most: number; otherwise: number },
): number {
  const value = text(values, name);
  if (value === undefined) return otherwise;
  const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new UsageError(`--${name} must be a number from ${least} to ${most}, got '${value}'`);
}

/** One of these words. */
export function oneOf<Word extends string>(
  values: Values,
  name: string,
  words: readonly Word[],
): Word | undefined {
  const value = text(values, name);
  const word = words.find((each) => each === value);
  if (word !== undefined || value === undefined) return word;
  throw new UsageError(`--${name} must be ${words.join(' or ')}, got '${value}'`);
}
