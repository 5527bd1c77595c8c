/** JA3 and JA4 of a ClientHello's bytes, computed apart from the core: from the specifications. */
import { createHash } from 'node:crypto';

export interface Fingerprints {
  ja3: string;
  ja3Hash: string;
  ja4: string;
}

/** `record`: the first record that a client sent, which holds all of its ClientHello. */
export function fingerprints(record: Buffer): Fingerprints {
  const hello = read(record.subarray(5));
  const ja3 = [
    hello.version,
    decimal(hello.ciphers),
    decimal(hello.extensions.map(([type]) => type)),
    decimal(words(hello.get(10), 2)),
    [...(hello.get(11)?.subarray(1) ?? [])].join('-'),
  ].join(',');
  return { ja3, ja3Hash: createHash('md5').update(ja3).digest('hex'), ja4: ja4(hello) };
}

function decimal(numbers: number[]): string {
  return numbers.filter(isReal).join('-');
}

function count(list: number[]): string {
  return String(Math.min(99, list.length)).padStart(2, '0');
}

interface Hello {
  version: number;
  ciphers: number[];
  extensions: [type: number, contents: Buffer][];
  get(type: number): Buffer | undefined;
}

function read(message: Buffer): Hello {
  let at = 4;
  const take = (size: number): Buffer => message.subarray(at, (at += size));
  const vector = (bytes: number): Buffer => take(take(bytes).readUIntBE(0, bytes));
  const version = take(2).readUInt16BE();
  take(32);
  vector(1);
  const ciphers = words(vector(2), 0);
  vector(1);
  const end = take(2).readUInt16BE() + at;
  const extensions: [number, Buffer][] = [];
  // oxlint-disable-next-line no-unmodified-loop-condition -- `take` moves on
  while (at < end) extensions.push([take(2).readUInt16BE(), vector(2)]);
  const get = (type: number): Buffer | undefined => extensions.find(([each]) => each === type)?.[1];
  return { version, ciphers, extensions, get };
}

function ja4({ version, ciphers, extensions, get }: Hello): string {
  const types = extensions.map(([type]) => type).filter(isReal);
  const suites = ciphers.filter(isReal);
  const offered = words(get(43), 1).filter(isReal);
  const highest = offered.length > 0 ? Math.max(...offered) : version;
  const spoken = { 0x0304: '13', 0x0303: '12', 0x0302: '11', 0x0301: '10' }[highest] ?? '00';
  const alpn = get(16);
  const first = alpn?.subarray(3, 3 + alpn[2]).toString('latin1');
  const protocol = first ? `${first[0]}${first.at(-1)}` : '00';
  const name = types.includes(0) ? 'd' : 'i';
  const sorted = (list: number[]): string => list.map(hex).toSorted().join(',');
  const schemes = words(get(13), 2).filter(isReal).map(hex).join(',');
  const rest = sorted(types.filter((type) => type !== 0 && type !== 16));
  return [
    `t${spoken}${name}${count(suites)}${count(types)}${protocol}`,
    digest(sorted(suites)),
    digest(schemes === '' ? rest : `${rest}_${schemes}`),
  ].join('_');
}

function words(bytes: Buffer | undefined, skipped: number): number[] {
  const rest = bytes?.subarray(skipped) ?? Buffer.alloc(0);
  return Array.from({ length: rest.length / 2 }, (_, i) => rest.readUInt16BE(2 * i));
}

function isReal(number: number): boolean {
  return !(number >> 8 === (number & 0xff) && (number & 0xf) === 0xa);
}

function hex(number: number): string {
  return number.toString(16).padStart(4, '0');
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
