/** The workflows of GitHub: well-formed, and made of what can't be changed behind our back. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, it } from 'vitest';

import { notesOf } from '../scripts/release-notes.mjs';
import { PACKAGE } from './support/faults/child.js';
import { commandIt } from './support/faults/commands.js';

const folder = path.join(PACKAGE, '.github/workflows');
const files = readdirSync(folder);
const text = (file: string): string => readFileSync(path.join(folder, file), 'utf8');

const ACTIONLINT = 'github.com/rhysd/actionlint/cmd/actionlint@v1.7.12';

describe('workflows', () => {
  // Without ShellCheck and Pyflakes, which not every machine has.
  commandIt('go', 'are clean to actionlint', () => {
    const args = ['run', ACTIONLINT, '-no-color', '-shellcheck=', '-pyflakes='];
    let complaints = '';
    try {
      execFileSync('go', args, { cwd: PACKAGE, encoding: 'utf8', stdio: 'pipe' });
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string };
      complaints = stdout + stderr;
    }
    expect(complaints).toBe('');
  });

  it('name every action by its digest, with the version beside it', () => {
    const used = files.flatMap((file) =>
      [...text(file).matchAll(/uses: (.+)$/gm)].map((m) => m[1]),
    );
    expect(used.length).toBeGreaterThan(10);
    const pinned = /^[\w.-]+\/[\w.-]+@[0-9a-f]{40} # \S+$|^\.\/\.github\/workflows\/\w+\.yml$/;
    expect(used.filter((each) => !pinned.test(each!))).toEqual([]);
  });

  it('build each platform that the package names', () => {
    const { napi } = JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8')) as {
      napi: { targets: string[] };
    };
    const built = [...text('packages.yml').matchAll(/target: ([\w-]+)$/gm)].map(([, name]) => name);
    expect(built.toSorted()).toEqual(napi.targets.toSorted());
  });

  it('may read, and nothing else, but where a release is made', () => {
    for (const file of files) expect(text(file)).toMatch(/^permissions:\n {2}contents: read$/m);
    const writing = files.filter((file) => /: write$/m.test(text(file)));
    expect(writing).toEqual(['release.yml']);
  });
});

describe('the notes of a release', () => {
  const changelog =
    '# Changelog\n\n## [Unreleased]\n\n## [1.1.0] - 2027-01-02\n\n### Added\n\n- This.\n\n## [1.0.0]\n\n- That.\n';

  it('are what the changelog says of its version', () => {
    expect(notesOf(changelog, '1.1.0')).toBe('### Added\n\n- This.');
    expect(notesOf(changelog, '1.0.0')).toBe('- That.');
  });

  it.each(['1.2.0', 'Unreleased'])('are an error where it says nothing: %s', (version) => {
    expect(() => notesOf(changelog, version)).toThrow(`CHANGELOG.md says nothing of ${version}`);
  });
});
