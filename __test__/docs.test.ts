/** The pages of the documentation show what is there, and the site shows every page. */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

import { describe, expect, it } from 'vitest';

import { report, stored } from '../benchmarks/performance.mjs';
import { pages as published } from '../docs/.vitepress/pages.mjs';
import { sidebar } from '../docs/.vitepress/sidebar.mjs';
import { pages as guides } from '../scripts/examples.mjs';
import { page as optionsPage } from '../scripts/options.mjs';
import { PACKAGE } from './support/faults/child.js';

describe('guides', () => {
  it.each(guides())('$name shows programs as `npm run docs:examples` writes them', (guide) => {
    expect(guide.programs).not.toEqual([]);
    expect(guide.text).toBe(guide.due);
  });

  it('show every program of examples/', () => {
    const shown = new Set(guides().flatMap(({ programs }) => programs));
    const programs = readdirSync(path.join(PACKAGE, 'examples'));
    expect(programs.filter((name) => !shown.has(`examples/${name}`))).toEqual([]);
  });
});

describe('the sidebar', () => {
  it('has every page, once', () => {
    const links = sidebar.flatMap(({ items }) => items.map(({ link }) => link));
    const pages = Object.values(published).map((page) => `/${page.replace(/\.md$/, '')}`);
    expect(links.toSorted()).toEqual(pages.toSorted());
  });
});

describe('docs/options.md', () => {
  const text = readFileSync(path.join(PACKAGE, 'docs/options.md'), 'utf8');

  it('is as `npm run docs:options` writes it', () => {
    expect(text).toBe(optionsPage());
  });

  it.each(['contextOptions', 'serverOptions', 'acceptOptions', 'coreOptions', 'serverLimits'])(
    'names each of %s',
    (table) => {
      const load = createRequire(import.meta.url);
      const tables = ['options', 'core-options', 'limits'].map((name) =>
        load(`../dist/${name}.js`),
      );
      const { [table]: options } = Object.assign({}, ...tables) as Record<string, object>;
      const ignored = new Set(['pskIdentityHint', 'requestOCSP', 'secureContext']);
      const missing = Object.keys(options!).filter((name) => !text.includes(`\`${name}\``));
      expect(missing.filter((name) => !ignored.has(name))).toEqual([]);
    },
  );
});

describe('docs/performance.md', () => {
  const { page, plots } = report(stored());

  it('is as `npm run report` writes it', () => {
    expect(readFileSync(path.join(PACKAGE, 'docs/performance.md'), 'utf8')).toBe(page);
  });

  it.each(Object.keys(plots))('shows %s as `npm run report` draws it', (name) => {
    expect(readFileSync(path.join(PACKAGE, 'docs/performance', name), 'utf8')).toBe(plots[name]);
    expect(page).toContain(`(performance/${name})`);
  });
});

describe('docs/errors.md', () => {
  const text = readFileSync(path.join(PACKAGE, 'docs/errors.md'), 'utf8');
  const [, ...sections] = text.split(/^### /m);

  it('has a section for each code, and no other', () => {
    const { errorTable, nativeErrorCodes } = createRequire(import.meta.url)(
      '../dist/errors.js',
    ) as {
      errorTable: object;
      nativeErrorCodes: readonly string[];
    };
    const codes = new Set([...Object.keys(errorTable), ...nativeErrorCodes, 'OFFLOOP_FALLBACK']);
    const told = sections.map((section) => section.split('\n', 1)[0]);
    expect(told.toSorted()).toEqual([...codes].toSorted());
  });

  it('says in each what happened, why, and what to do', () => {
    const parts = ['What happened', 'Why', 'What to do'];
    const short = sections.filter(
      (section) =>
        !parts.every((part) => new RegExp(`^- \\*\\*${part}:\\*\\* .+`, 'm').test(section)),
    );
    expect(short).toEqual([]);
  });
});
