/** docs/compatibility.md is what its tables say, and names everything that Node documents. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, it } from 'vitest';

import { page, type Row, sections } from '../scripts/compatibility.mjs';
import { table } from './behaviours/table.js';
import { type Names, runningNames, typedNames, union } from './support/documented.js';
import { PACKAGE } from './support/faults/child.js';

const rowsOf: Record<string, readonly Row[]> = Object.fromEntries(
  sections().map(({ of, rows }) => [of, rows]),
);

/** What sections tell of that stands in another's type too: it is told once. */
const toldBy: Record<string, string[]> = {
  contextOptions: ['contextOptions', 'serverOptions'],
  serverOptions: ['contextOptions', 'serverOptions'],
  httpsOptions: ['httpsOptions', 'contextOptions', 'serverOptions'],
  http2Options: ['http2Options', 'contextOptions', 'serverOptions'],
  httpsMembers: ['httpsMembers', 'serverMembers'],
  http2Members: ['http2Members', 'serverMembers'],
  httpsEvents: ['httpsEvents', 'serverEvents'],
  tlsSocket: ['tlsSocket', 'netSocket', 'duplex'],
};

const typed = typedNames();
const running = runningNames();

it('is as `npm run docs:compatibility` writes it', () => {
  const file = path.join(PACKAGE, 'docs/compatibility.md');
  expect(readFileSync(file, 'utf8')).toBe(page());
});

describe('the page names', () => {
  it.each(Object.keys(typed))('%s of the types of Node', (section) => {
    expect(missing(section, typed)).toEqual([]);
  });

  it.each(Object.keys(running))('%s of the running Node', (section) => {
    expect(missing(section, running)).toEqual([]);
  });

  it('nothing that Node has not, unless it says in which versions', () => {
    const known = union([...Object.values(typed), ...Object.values(running)]);
    const strangers = Object.entries(rowsOf)
      .filter(([section]) => section !== 'ownOptions')
      .flatMap(([, rows]) => rows)
      .filter(({ status, node }) => status !== 'own' && node === undefined)
      .map(({ name }) => plain(name))
      .filter((name) => !known.has(name) && !untyped.has(name));
    expect(strangers).toEqual([]);
  });

  it('each difference in behaviour that is tested', () => {
    const text = page();
    const reasons = Object.values(table)
      .flat()
      .flatMap(({ different }) => (different === undefined ? [] : [different.reason]));
    expect(reasons.length).toBeGreaterThan(15);
    expect(reasons.filter((reason) => !text.includes(reason))).toEqual([]);
  });

  it('a reason wherever something is not the same', () => {
    const silent = Object.values(rowsOf)
      .flat()
      .filter(({ status, note }) => status !== 'same' && !note);
    expect(silent).toEqual([]);
  });
});

/** In the documentation alone. */
const untyped = new Set([
  // Of net.Server, http.Server and streams.
  'dropMaxConnection',
  'dropRequest',
  'finish',
]);

function missing(section: string, names: Names): string[] {
  const rows = (toldBy[section] ?? [section]).flatMap((each) => rowsOf[each]);
  const told = new Set(rows.map(({ name }) => plain(name)));
  return [...names[section]].filter((name) => !told.has(name));
}

/** Without the parentheses of methods. */
function plain(name: string): string {
  return name.replace(/\(\)$/, '');
}
