// `npm run sbom [folder]`: what the release is made of, in CycloneDX: the crates that are linked
// into the binding, and the npm package. Needs cargo-cyclonedx.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { root } from './setup.mjs';

const folder = path.resolve(process.argv[2] ?? path.join(root, 'sbom'));
process.chdir(root);
mkdirSync(folder, { recursive: true });

const name = 'offloop.cdx';
const cyclonedx = ['cyclonedx', '--format', 'json', '--override-filename', name];
execFileSync('cargo', [...cyclonedx, '--no-build-deps', '--all'], { stdio: 'inherit' });
// One for each crate of the workspace: the binding's has all that it links.
for (const crate of readdirSync('crates')) {
  const file = `crates/${crate}/${name}.json`;
  if (crate === 'node') renameSync(file, path.join(folder, 'binding.cdx.json'));
  else rmSync(file);
}

const npm = ['sbom', '--sbom-format=cyclonedx', '--omit=dev'];
const packages = execFileSync('npm', npm, { encoding: 'utf8' });
writeFileSync(path.join(folder, 'package.cdx.json'), packages);
process.stdout.write(`${folder}\n`);
