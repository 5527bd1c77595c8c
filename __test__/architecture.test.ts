/** Dependencies point one way: ts -> node -> {certificates, engine -> {tls, pool}}; `unsafe` has two rooms. */
import { execFileSync } from 'node:child_process';

import { describe, expect, it } from 'vitest';

import {
  borderViolations,
  codeOfRust,
  type Crate,
  crateViolations,
  type Source,
  sourcesBelow,
  unsafeViolations,
} from './support/faults/architecture.js';
import { PACKAGE } from './support/faults/child.js';
import { commandIt } from './support/faults/commands.js';

describe('crates', () => {
  commandIt('cargo', 'use each other one way only', () => {
    const crates = cargoCrates();
    expect(crates.map(({ name }) => name).toSorted()).toEqual([
      'offloop-bench',
      'offloop-certificates',
      'offloop-engine',
      'offloop-node',
      'offloop-pool',
      'offloop-tls',
    ]);
    expect(crateViolations(crates)).toEqual([]);
  });

  it('keep unsafe code in crates/node and crates/engine/src/adopt.rs', () => {
    const sources = [
      ...sourcesBelow(PACKAGE, 'crates', '.rs'),
      ...sourcesBelow(PACKAGE, 'fuzz', '.rs'),
    ];
    expect(sources.length).toBeGreaterThan(50);
    expect(unsafeViolations(sources)).toEqual([]);
    // The rule would be idle if these two rooms were empty.
    const rooms = sources.filter(({ text }) =>
      codeOfRust(text).some((line) => /\bunsafe\b/.test(line)),
    );
    expect(rooms.map(({ file }) => file)).toContain('crates/engine/src/adopt.rs');
  });
});

describe('TypeScript', () => {
  it('touches the native side in its hub alone, imported by native.ts alone', () => {
    const sources = sourcesBelow(PACKAGE, 'ts', 'ts');
    expect(sources.length).toBeGreaterThan(15);
    expect(borderViolations(sources)).toEqual([]);
    const native = sources.find(({ file }) => file === 'ts/native.ts');
    expect(native!.text).toContain("from '../native/binding.js'");
  });
});

const house = (changes: Record<string, string[]> = {}): Crate[] =>
  Object.entries({
    'offloop-pool': ['tokio'],
    'offloop-tls': ['rustls'],
    'offloop-engine': ['offloop-pool', 'offloop-tls'],
    'offloop-certificates': ['rcgen'],
    'offloop-node': ['offloop-engine', 'offloop-certificates', 'napi'],
    'offloop-bench': ['rustls', 'tokio'],
    ...changes,
  }).map(([name, used]) => ({
    name,
    dependencies: used.map((each) => ({ name: each, kind: null })),
  }));

const ts = (file: string, text: string): string[] => borderViolations([{ file, text }]);

describe('the rules notice', () => {
  it('nothing in a house in order', () => {
    expect(crateViolations(house())).toEqual([]);
  });

  it.each([
    ['offloop-pool', 'offloop-tls'],
    ['offloop-tls', 'offloop-pool'],
    ['offloop-tls', 'offloop-engine'],
    ['offloop-engine', 'offloop-node'],
    ['offloop-node', 'offloop-tls'],
    ['offloop-certificates', 'offloop-tls'],
    ['offloop-engine', 'offloop-certificates'],
    ['offloop-engine', 'rustls'],
    ['offloop-node', 'rustls-pki-types'],
    ['offloop-engine', 'napi'],
    ['offloop-tls', 'tokio'],
    ['offloop-pool', 'socket2'],
    ['offloop-bench', 'offloop-engine'],
  ])('that %s uses %s', (name, used) => {
    expect(crateViolations(house({ [name]: [used] }))).toEqual([`${name} uses ${used}`]);
  });

  it('a crate that nobody gave a place', () => {
    expect(crateViolations(house({ 'offloop-utils': [] }))).toHaveLength(1);
  });

  const forbids: Source[] = ['pool', 'tls', 'certificates'].map((name) => ({
    file: `crates/${name}/src/lib.rs`,
    text: '#![forbid(unsafe_code)]\n',
  }));
  const rust = (file: string, text: string): string[] =>
    unsafeViolations([...forbids, { file, text }]);

  it('unsafe code where it does not belong, and nothing but code', () => {
    expect(rust('crates/engine/src/host.rs', 'fn f() {\n  unsafe { g() }\n}')).toEqual([
      'crates/engine/src/host.rs:2 has unsafe code',
    ]);
    expect(rust('crates/engine/src/adopt.rs', 'unsafe { g() }')).toEqual([]);
    expect(rust('crates/node/src/hub.rs', 'unsafe { g() }')).toEqual([]);
    const words =
      '// unsafe\n/* unsafe */\n#![deny(unsafe_code)]\nlet a = "unsafe"; let b = r#"unsafe"#;';
    expect(rust('crates/engine/src/host.rs', words)).toEqual([]);
    expect(rust('crates/engine/src/host.rs', `let quote = '"'; unsafe { g() } // "`)).toHaveLength(
      1,
    );
  });

  it('a crate that no longer forbids it', () => {
    const [pool, , certificates] = forbids;
    expect(unsafeViolations([pool!, certificates!])).toEqual([
      'crates/tls/src/lib.rs does not forbid unsafe code',
    ]);
    const commented = { ...forbids[1], text: '// #![forbid(unsafe_code)]\n' };
    expect(unsafeViolations([pool!, commented, certificates!])).toHaveLength(1);
  });

  it('an import of the binding beside native.ts', () => {
    expect(ts('ts/server.ts', "import { Hub } from '../native/binding.js';")).toHaveLength(1);
    expect(
      ts('ts/server.ts', "const x = require('../native/offloop.linux-x64-gnu.node');"),
    ).toHaveLength(1);
    expect(ts('ts/native.ts', "export { Hub } from '../native/binding.js';")).toEqual([]);
    expect(ts('ts/server.ts', "// from '../native/binding.js'")).toEqual([]);
  });

  it('a use of the native hub outside of the hub', () => {
    expect(ts('ts/tls-socket.ts', 'hub().native.stats();')).toHaveLength(1);
    expect(ts('ts/tls-socket.ts', 'const { native } = hub();')).toHaveLength(1);
    expect(ts('ts/tls-socket.ts', "import { NativeHub } from './native.js';")).toHaveLength(1);
    expect(ts('ts/hub.ts', 'this.native.drain();')).toEqual([]);
    expect(ts('ts/accept.ts', 'SecureContext.native(context);')).toEqual([]);
  });
});

function cargoCrates(): Crate[] {
  const args = ['metadata', '--no-deps', '--format-version', '1', '--offline'];
  const output = execFileSync('cargo', args, { cwd: PACKAGE, encoding: 'utf8' });
  return (JSON.parse(output) as { packages: Crate[] }).packages;
}
