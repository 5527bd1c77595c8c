/** The rules of the house as functions from what is there to what breaks them. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface Dependency {
  name: string;
  kind: 'dev' | 'build' | null;
}

/** A crate, as `cargo metadata` lists it. */
export interface Crate {
  name: string;
  dependencies: readonly Dependency[];
}

/** What each crate may use of the others, but for tests; a crate that is not here breaks a rule. */
const MAY_USE: Record<string, readonly string[]> = {
  'offloop-pool': [],
  'offloop-tls': [],
  'offloop-engine': ['offloop-pool', 'offloop-tls'],
  'offloop-certificates': [],
  'offloop-node': ['offloop-engine', 'offloop-certificates'],
  'offloop-bench': [],
};

/** What belongs to some crates alone. Benches, and tests whose other end it is, may use it. */
const ONLY: readonly { what: RegExp; in: readonly string[] }[] = [
  { what: /^(rustls.*|webpki|aws-lc-.*)$/, in: ['offloop-tls'] },
  { what: /^napi(-.*)?$/, in: ['offloop-node'] },
  { what: /^(socket2|mio|libc)$/, in: ['offloop-engine'] },
  { what: /^tokio(-.*)?$/, in: ['offloop-pool', 'offloop-engine'] },
];

export function crateViolations(crates: readonly Crate[]): string[] {
  const found: string[] = [];
  const own = new Set(crates.map(({ name }) => name));
  for (const { name, dependencies } of crates) {
    const mayUse = MAY_USE[name];
    if (mayUse === undefined) found.push(`${name}: a crate without a place in the house`);
    for (const { name: used, kind } of dependencies) {
      const benches = name === 'offloop-bench';
      if (own.has(used) && !(mayUse ?? []).includes(used) && !(benches && kind === 'dev'))
        found.push(`${name} uses ${used}`);
      for (const { what, in: places } of ONLY) {
        if (what.test(used) && !places.includes(name) && !benches && kind !== 'dev')
          found.push(`${name} uses ${used}`);
      }
    }
  }
  return found;
}

export interface Source {
  /** Relative to the package, with `/`. */
  file: string;
  text: string;
}

/** Crates of which the compiler refuses every `unsafe`. */
const SAFE = ['pool', 'tls', 'certificates'].map((name) => `crates/${name}/src/lib.rs`);

export function unsafeViolations(sources: readonly Source[]): string[] {
  const found: string[] = [];
  for (const { file, text } of sources) {
    if (file.startsWith('crates/node/') || file === 'crates/engine/src/adopt.rs') continue;
    const line = codeOfRust(text).findIndex((code) => /\bunsafe\b/.test(code));
    if (line >= 0) found.push(`${file}:${line + 1} has unsafe code`);
  }
  for (const file of SAFE) {
    const root = sources.find((source) => source.file === file);
    const code = root === undefined ? '' : codeOfRust(root.text).join('\n');
    if (!/^\s*#!\[forbid\(unsafe_code\)\]/m.test(code))
      found.push(`${file} does not forbid unsafe code`);
  }
  return found;
}

/** Who may use the native hub, `hub.native` or the class. Others speak to the hub. */
const HUB_SIDE = new Set([
  'ts/hub.ts',
  'ts/submission.ts',
  'ts/connection.ts',
  'ts/counting.ts',
  'ts/server-core.ts',
  'ts/listening.ts',
  'ts/stats.ts',
  'ts/adopted-socket.ts',
  'ts/foreign-stream.ts',
]);

export function borderViolations(sources: readonly Source[]): string[] {
  const found: string[] = [];
  for (const { file, text } of sources) {
    const code = codeOfTypeScript(text);
    for (const specifier of specifiers(code)) {
      if (/\bnative\/|\.node$|^@offloop\//.test(specifier) && file !== 'ts/native.ts')
        found.push(`${file} imports ${specifier}`);
    }
    if (HUB_SIDE.has(file) || file === 'ts/native.ts') continue;
    if (/\bNativeHub\b/.test(code)) found.push(`${file} names NativeHub`);
    // `SecureContext.native(...)` gives a context, not the hub.
    if (
      /(?<!\bSecureContext)\.native\b(?!\.js)/.test(code) ||
      /\{[^}]*\bnative\b[^}]*\}\s*=\s*hub\(/.test(code)
    )
      found.push(`${file} touches the native hub`);
  }
  return found;
}

/** Every file with this ending below a folder of the package. */
export function sourcesBelow(root: string, folder: string, ending: string): Source[] {
  return readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending) && !/(^|[\\/])(target|node_modules)[\\/]/.test(name))
    .map((name) => {
      const text = readFileSync(path.join(root, folder, name), 'utf8');
      return { file: path.posix.join(folder, name.replaceAll('\\', '/')), text };
    });
}

/** The lines of a Rust file with comments and literals blanked. */
export function codeOfRust(text: string): string[] {
  const noise =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|r(#*)"[\s\S]*?"\1|"(?:\\[\s\S]|[^"\\])*"|'(?:\\[^\n]|[^'\\\n])'/g;
  return text.replace(noise, blank).split('\n');
}

/** TypeScript with comments blanked; strings stay, since imports are strings. */
function codeOfTypeScript(text: string): string {
  const pieces =
    /'(?:\\[\s\S]|[^'\\\n])*'|"(?:\\[\s\S]|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return text.replace(pieces, (piece) => (piece.startsWith('/') ? blank(piece) : piece));
}

function blank(piece: string): string {
  return piece.replaceAll(/[^\n]/g, ' ');
}

function specifiers(code: string): string[] {
  const imports = /\b(?:from|import|require)\s*\(?\s*['"]([^'"]+)['"]/g;
  return [...code.matchAll(imports)].map(([, specifier]) => specifier);
}
