import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Manifest {
  readonly version: string;
  readonly engines: { readonly node: string };
}

const manifest = JSON.parse(
  readFileSync(join(__dirname, '..', 'package.json'), 'utf8'),
) as Manifest;

/** The version of this package. */
export const version = manifest.version;

/** @internal The oldest version of Node that it runs on. */
export const oldestNode = manifest.engines.node.replace('>=', '');
