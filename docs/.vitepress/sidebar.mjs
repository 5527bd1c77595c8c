// What stands in the sidebar, in its order: titles and pages.
import { existsSync } from 'node:fs';
import { pages, root } from './pages.mjs';

const groups = {
  offloop: [
    ['What it is', 'README.md'],
    ['Compatibility', 'docs/compatibility.md'],
    ['Design', 'ARCHITECTURE.md'],
    ['Metrics', 'docs/metrics.md'],
    ['Limits', 'docs/limits.md'],
  ],
  Project: [
    ['Security', 'SECURITY.md'],
    ['Benchmarks', 'benchmarks/README.md'],
    ['How it is tested', 'docs/testing.md'],
    ['Changelog', 'CHANGELOG.md'],
  ],
};

export const sidebar = Object.entries(groups).map(([text, items]) => ({
  text,
  items: items
    // A test sees to it that each page that exists stands here.
    .filter(([, source]) => existsSync(`${root}/${source}`))
    .map(([title, source]) => ({ text: title, link: `/${pages[source].replace(/\.md$/, '')}` })),
}));
