/** Finds the native core: what a build put beside this package, or the package of this platform. */
import path from 'node:path';
import { version } from './version.js';

/** The core's exports, or why there are none. */
export type Loaded =
  | { readonly core: object; readonly missing: null }
  | { readonly core: null; readonly missing: Error };

/** The platforms that have a binary, by what `process` says; of two C libraries the first that loads. */
const platforms: Record<string, readonly string[]> = {
  'linux x64': ['linux-x64-gnu', 'linux-x64-musl'],
  'linux arm64': ['linux-arm64-gnu', 'linux-arm64-musl'],
  'darwin x64': ['darwin-x64'],
  'darwin arm64': ['darwin-arm64'],
};

export function loadCore(): Loaded {
  if (process.env.OFFLOOP_DISABLE === '1') return none('OFFLOOP_DISABLE is 1');
  const names = platforms[`${process.platform} ${process.arch}`];
  if (names === undefined)
    return none(`there is no binary for ${process.platform} on ${process.arch}`);
  const failures: string[] = [];
  for (const name of names) {
    for (const place of [built, installed]) {
      try {
        const core = place(name);
        if (core !== undefined) return { core, missing: null };
      } catch (error) {
        failures.push((error as Error).message.split('\n', 1)[0]);
      }
    }
  }
  return none(
    failures.join('; ') ||
      `none for this platform is installed, @offloop/${names.join(' or @offloop/')}`,
  );
}

function none(reason: string): Loaded {
  return { core: null, missing: new Error(reason) };
}

/** By `npm run build`. */
function built(name: string): object | undefined {
  return load(path.join(__dirname, `../native/offloop.${name}.node`));
}

/** By npm, as an optional dependency. One of another version speaks another language. */
function installed(name: string): object | undefined {
  const manifest = load(`@offloop/${name}/package.json`) as { version: string } | undefined;
  if (manifest === undefined) return undefined;
  if (manifest.version !== version)
    throw new Error(`@offloop/${name} is ${manifest.version}, and offloop ${version}`);
  return load(`@offloop/${name}/offloop.${name}.node`);
}

/** Undefined: it is not there. */
function load(file: string): object | undefined {
  try {
    require.resolve(file);
  } catch {
    return undefined;
  }
  return require(file) as object;
}
