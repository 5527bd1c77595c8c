// `npm run docs:compatibility`: writes docs/compatibility.md, from the tables of options that the
// built package checks with and from docs/compatibility.data.mjs.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { behaviours, httpOptions, servers, sockets } from '../docs/compatibility.data.mjs';

const load = createRequire(import.meta.url);
const { acceptOptions, contextOptions, serverOptions } = load('../dist/options.js');
const { coreOptions } = load('../dist/core-options.js');

/** The page. */
export function page() {
  const tables = sections().map(({ title, text, rows }) =>
    [`## ${title}`, text, table(rows)].filter(Boolean).join('\n\n'),
  );
  return [INTRODUCTION, ...tables, remarks()].join('\n\n') + '\n';
}

/** All rows: `of` is the section's key, the title what readers see. */
export function sections() {
  return [
    {
      of: 'contextOptions',
      title: 'Options of contexts',
      text: "Of `tls.createSecureContext`, `tls.createServer`, `https.createServer`, `http2.createSecureServer`, `addContext` and `setSecureContext`. Where a code is given, it is of the error for what is refused; all other errors are Node's.",
      rows: optionRows(contextOptions),
    },
    {
      of: 'serverOptions',
      title: 'Options of servers',
      text: 'Beside those of contexts, with what `tls.createServer` takes of `net.createServer`.',
      rows: optionRows(serverOptions),
    },
    {
      of: 'httpsOptions',
      title: 'Options of https.createServer',
      text: "Beside those of TLS. Node's own code reads them.",
      rows: httpOptions.https,
    },
    {
      of: 'http2Options',
      title: 'Options of http2.createSecureServer',
      text: "Beside those of TLS. Node's own code reads them.",
      rows: httpOptions.http2,
    },
    {
      of: 'ownOptions',
      title: 'Options that only offloop has',
      text: "Of its servers and of `acceptTls`; Node's constructors ignore them.",
      rows: ownRows(),
    },
    {
      of: 'serverMembers',
      title: 'tls.Server: methods and properties',
      text: "A server is Node's own, moved onto the core. What is inherited of `EventEmitter` is as it is there.",
      rows: servers.members,
    },
    { of: 'serverEvents', title: 'tls.Server: events', rows: servers.events },
    {
      of: 'httpsMembers',
      title: 'https.Server: methods and properties',
      text: "Beside those of `tls.Server`. All of HTTP/1 is Node's own code.",
      rows: servers.httpsMembers,
    },
    { of: 'httpsEvents', title: 'https.Server: events', rows: servers.httpsEvents },
    {
      of: 'http2Members',
      title: 'Http2SecureServer: methods and properties',
      text: "Beside those of `tls.Server`. All of HTTP/2 is Node's own code.",
      rows: servers.http2Members,
    },
    { of: 'http2Events', title: 'Http2SecureServer: events', rows: servers.http2Events },
    {
      of: 'tlsSocket',
      title: 'tls.TLSSocket on a server: methods and properties',
      rows: sockets.tls,
    },
    {
      of: 'netSocket',
      title: 'Inherited of net.Socket',
      rows: sockets.net,
    },
    {
      of: 'duplex',
      title: 'Inherited of stream.Duplex',
      rows: sockets.stream,
    },
    { of: 'socketEvents', title: 'tls.TLSSocket on a server: events', rows: sockets.events },
  ];
}

const INTRODUCTION = `# Compatibility

<!-- Written by \`npm run docs:compatibility\`; a test compares it with Node's documented names. -->

What of Node's TLS servers is the same with offloop, what is different and how, and what is not
there: for \`offloop/tls\`, \`offloop/https\` and \`offloop/http2\`, under \`offloop/register\`, and for
servers that \`adopt\` has moved. Node 20 to 26, Linux and macOS. Whatever else these modules export,
clients for example, is Node's own.

- **same**: defaults, forms of arguments, order of events and codes of errors are Node's.
- **different**: it works, but not as in Node; how is said beside it.
- **not there**: a server that asks for it is refused with the error \`ERR_OFFLOOP_UNSUPPORTED_OPTION\`,
  which names the option. With \`fallback: true\`, and under \`offloop/register\`, that one server stays
  Node's own instead, and \`process.emitWarning\` says so once, with the code \`OFFLOOP_FALLBACK\`.
- **own**: Node does not have it.`;

const WORDS = { same: 'same', different: 'different', unsupported: 'not there', own: 'own' };

/** Names of which the same is to be said share a line; what is plainly the same comes last. */
function table(rows) {
  const lines = new Map();
  for (const { name, status, note = '', error = '', node = '' } of rows) {
    const cells = [WORDS[status], note, CODE.test(error) ? `\`${error}\`` : error, node];
    const key = cells.join(' | ');
    const line = lines.get(key) ?? { names: [], cells };
    line.names.push(`\`${name}\``);
    lines.set(key, line);
  }
  const sorted = [...lines.values()].toSorted((a, b) => isPlain(a) - isPlain(b));
  const body = sorted.map(({ names, cells }) => [names.join(', ')].concat(cells));
  const head = ['', 'With offloop', 'How, or why', 'Error', 'Node'];
  const used = head.map((_, i) => i < 2 || body.some((line) => line[i] !== ''));
  return [head, head.map(() => '---'), ...body]
    .map((line) => `| ${line.filter((_, i) => used[i]).join(' | ')} |`)
    .join('\n');
}

function isPlain({ cells: [status, note] }) {
  return status === WORDS.same && note === '';
}

const CODE = /^E[A-Z_0-9]+$/;

function remarks() {
  const topics = Object.entries(behaviours).map(
    ([topic, items]) => `### ${topic}\n\n${items.map((item) => `- ${item}`).join('\n')}`,
  );
  return ['## Behaviour that no single name stands for', ...topics].join('\n\n');
}

function optionRows(options) {
  return Object.entries(options)
    .filter(([, { status }]) => status !== 'own')
    .map(([name, { status = 'same', note, error }]) => ({
      name,
      status,
      note: note && sentence(note),
      error,
    }));
}

function ownRows() {
  const comments = { ...commentsOf('ts/core-options.ts'), ...commentsOf('ts/options.ts') };
  const own = Object.entries({ ...coreOptions, ...acceptOptions })
    .filter(([, { status }]) => status === 'own')
    .map(([name]) => name);
  return [...own, 'context']
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((name) => ({ name, status: 'own', note: comments[name] }));
}

/** What the comments in front of properties say, by property. */
function commentsOf(file) {
  const text = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
  const comments = {};
  const visit = (node) => {
    if ((ts.isPropertyAssignment(node) || ts.isPropertySignature(node)) && node.jsDoc?.length > 0)
      comments[node.name.text] = ts
        .getTextOfJSDocComment(node.jsDoc.at(-1).comment)
        .replaceAll(/\s+/g, ' ');
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest));
  return comments;
}

function sentence(note) {
  const full = note[0].toUpperCase() + note.slice(1);
  return full.endsWith('.') ? full : `${full}.`;
}

if (argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(new URL('../docs/compatibility.md', import.meta.url), page());
