// `npm run release-notes -- 1.2.3`: what CHANGELOG.md says of a version, for its release. A version that
// is not the package's, or of which nothing is said, is an error.
import { readFileSync } from 'node:fs';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';

/** The section of a version, without its heading. */
export function notesOf(changelog, version) {
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((text) => text.startsWith(`[${version}]`));
  const notes = section?.slice(section.indexOf('\n')).trim();
  if (!notes) throw new Error(`CHANGELOG.md says nothing of ${version}`);
  return notes;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const { version } = JSON.parse(read('package.json'));
  if (argv[2] !== version) throw new Error(`the package is ${version}, the release ${argv[2]}`);
  process.stdout.write(`${notesOf(read('CHANGELOG.md'), version)}\n`);
}

function read(name) {
  return readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
}
