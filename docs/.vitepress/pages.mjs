// Which files of the repository are pages, and what they are called on the site.
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** Pages that lie outside of docs/. */
const elsewhere = {
  'README.md': 'index.md',
  'ARCHITECTURE.md': 'design.md',
  'CHANGELOG.md': 'changelog.md',
  'CONTRIBUTING.md': 'contributing.md',
  'SECURITY.md': 'security.md',
  'benchmarks/README.md': 'benchmarks.md',
};

/** Names on the site by path in the repository. */
export const pages = {
  ...elsewhere,
  ...Object.fromEntries(
    readdirSync(`${root}/docs`, { recursive: true })
      .map((path) => path.replaceAll('\\', '/'))
      .filter((path) => path.endsWith('.md'))
      .map((path) => [`docs/${path}`, path]),
  ),
};

/** Folders whose Markdown files, if there are any, are no pages. */
export const unpublished = readdirSync(root, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !['docs', 'benchmarks'].includes(entry.name))
  .map(({ name }) => name);
