import { failure, received } from './errors.js';

/** PEM text, or its bytes. */
export type Pem = string | NodeJS.ArrayBufferView;

/** The text of PEM in one of Node's forms; what else came is not shown for a `secret`. */
export function pemText(value: unknown, name: string, secret = false): string {
  if (typeof value === 'string') return value;
  if (ArrayBuffer.isView(value)) return bytesOf(value).toString('latin1');
  const expected = 'of type string or an instance of Buffer, TypedArray, or DataView';
  throw failure('ERR_INVALID_ARG_TYPE', name, expected, received(value, secret));
}

/** The bytes below a view, not copied. */
export function bytesOf(view: ArrayBufferView): Buffer {
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}

/** Node takes one, or an array. */
export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [value];
}
