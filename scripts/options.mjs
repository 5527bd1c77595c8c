// `npm run docs:options`: writes docs/options.md. Names, defaults and texts come from the tables that
// the package checks options with and their comments, types from the declarations that it exports.
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const load = createRequire(import.meta.url);
const { acceptOptions, contextOptions, serverOptions } = load('../dist/options.js');
const { coreOptions } = load('../dist/core-options.js');
const { connectionLimits, serverLimits } = load('../dist/limits.js');

/** The page. */
export function page() {
  const types = new Types();
  const sections = sectionsOf().map(({ title, text, options, file, type }) =>
    [`## ${title}`, text, table(options, types.of(file, type)), refused(options)]
      .filter(Boolean)
      .join('\n\n'),
  );
  return [INTRODUCTION, ...sections].join('\n\n') + '\n';
}

function sectionsOf() {
  return [
    {
      title: 'Of contexts',
      text: 'Of `createSecureContext` and `addContext`, and of `createServer` and `acceptTls` where these get no context.',
      options: contextOptions,
      file: 'secure-context',
      type: 'SecureContextOptions',
    },
    {
      title: 'Of servers',
      text: "Of `createServer` and `Server` of `offloop` and `offloop/tls`; of `offloop/https` and `offloop/http2` beside Node's for HTTP. Those that only offloop has are options of `adopt` too.",
      options: { ...serverOptions, ...coreOptions, context: { status: 'own' } },
      file: 'server',
      type: 'ServerOptions',
    },
    {
      title: 'Of acceptTls',
      options: { ...acceptOptions, context: { status: 'own' } },
      file: 'accept',
      type: 'AcceptOptions',
    },
    {
      title: 'limits of a server',
      text: 'The reasons of the defaults are in [limits](limits.md).',
      options: without(serverLimits, connectionLimits),
      file: 'limits',
      type: 'ServerLimits',
    },
    {
      title: 'limits of a connection',
      text: 'Of servers and of `acceptTls`.',
      options: connectionLimits,
      file: 'limits',
      type: 'ConnectionLimits',
    },
  ];
}

const INTRODUCTION = `# Options

<!-- Written by \`npm run docs:options\` from the tables in ts/; a test compares it with them. -->

Every option that offloop reads. \`undefined\` and \`null\` count as absent. Where an option compares
otherwise with Node's of the same name, [compatibility](compatibility.md) says how. **own** marks those
that Node does not have.`;

function table(options, documented) {
  const rows = Object.entries(options)
    .filter(([name, { status }]) => status !== 'unsupported' && documented.has(name))
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, { status }]) => {
      const { type, text } = documented.get(name);
      const [what, rest = 'none.'] = text.split(/ ?Default: /);
      if (what === '') throw new Error(`${name} has no text: a comment in its table is missing`);
      const [fallback, ...more] = rest.split(/(?<=\.) /);
      return [
        `\`${name}\`${status === 'own' ? ', **own**' : ''}`,
        `\`${type.replaceAll('|', '\\|')}\``,
        fallback.replace(/\.$/, ''),
        [what, ...more].join(' ').replaceAll(/docs\/(\w+\.md)/g, '[$1]($1)'),
      ];
    });
  const head = ['option', 'type', 'default', ''];
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function refused(options) {
  const names = Object.keys(options).filter((name) => options[name].status === 'unsupported');
  if (names.length === 0) return undefined;
  return `Refused with \`ERR_OFFLOOP_UNSUPPORTED_OPTION\`: ${names.map((name) => `\`${name}\``).join(', ')}.`;
}

function without(options, other) {
  return Object.fromEntries(
    Object.entries(options).filter(([name]) => !Object.hasOwn(other, name)),
  );
}

/** What TypeScript knows of the options. */
class Types {
  constructor() {
    const root = fileURLToPath(new URL('..', import.meta.url));
    const config = ts.getParsedCommandLineOfConfigFile(`${root}tsconfig.json`, {}, ts.sys);
    this.root = root;
    this.program = ts.createProgram(config.fileNames, config.options);
    this.checker = this.program.getTypeChecker();
  }

  /** Type and text of each property of an exported type, by name. */
  of(file, type) {
    const { checker } = this;
    const source = this.program.getSourceFile(`${this.root}ts/${file}.ts`);
    const module = checker.getSymbolAtLocation(source);
    const symbol = checker.getExportsOfModule(module).find(({ name }) => name === type);
    const comments = type === 'ServerOptions' ? this.commentsOfNodes() : new Map();
    const documented = new Map();
    for (const property of checker.getDeclaredTypeOfSymbol(symbol).getProperties()) {
      const { name } = property;
      const own = property.declarations.every((each) => !each.getSourceFile().isDeclarationFile);
      const text = own ? textOf(property.getDocumentationComment(checker)) : comments.get(name);
      // What servers take and ignore has none.
      if (text !== undefined) documented.set(name, { type: this.typeOf(property), text });
    }
    return documented;
  }

  typeOf(property) {
    const type = this.checker.getNonNullableType(this.checker.getTypeOfSymbol(property));
    const { NoTruncation, InTypeAlias } = ts.TypeFormatFlags;
    // Choices are told, other types by their names.
    const flags = type.isUnion() ? NoTruncation | InTypeAlias : NoTruncation;
    const text = this.checker.typeToString(type, undefined, flags);
    // A table of limits has a section of its own.
    if (text.startsWith('Inputs<')) return 'object';
    const plain = text.replaceAll(/import\("[^"]*"\)\.|<ArrayBufferLike>/g, '');
    return [...new Set(plain.split(' | '))].join(' | ');
  }

  /** Texts of the options whose types are Node's: the comments in `serverOptions`. */
  commentsOfNodes() {
    const source = this.program.getSourceFile(`${this.root}ts/options.ts`);
    const declared = source.statements
      .filter(ts.isVariableStatement)
      .flatMap(({ declarationList }) => declarationList.declarations)
      .find(({ name }) => name.text === 'serverOptions');
    const commented = declared.initializer.properties.filter(({ jsDoc }) => jsDoc !== undefined);
    return new Map(
      commented.map(({ name, jsDoc }) => [
        name.text,
        ts.getTextOfJSDocComment(jsDoc.at(-1).comment),
      ]),
    );
  }
}

function textOf(parts) {
  return ts.displayPartsToString(parts).replaceAll(/\s+/g, ' ').trim();
}

if (argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(new URL('../docs/options.md', import.meta.url), page());
