/** Runtimes that are not the tests' own: binaries that npm carries. */
import path from 'node:path';

const installed = (file: string): string =>
  path.join(import.meta.dirname, '../clients/runtimes/node_modules', file);

export const OTHER_NODES = ['22', '24', '26'].map((major) => ({
  name: `Node ${major}`,
  binary: installed(`node-${major}/bin/node`),
}));

export const BUN = installed('@oven/bun-linux-x64/bin/bun');
export const DENO = installed('@deno/linux-x64-glibc/deno');
