/** What Node documents of its TLS servers: by its types, and by what the running Node has. */
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { Duplex } from 'node:stream';
import tls from 'node:tls';

import ts from 'typescript';

import { PACKAGE } from './faults/child.js';

/** Names by the key of the page's section. */
export type Names = Record<string, Set<string>>;

/** The types whose members each section is about. */
const subjects: Record<string, string> = {
  contextOptions: 'tls.SecureContextOptions',
  serverOptions: 'tls.TlsOptions',
  httpsOptions: 'https.ServerOptions',
  http2Options: 'http2.SecureServerOptions',
  serverMembers: 'tls.Server',
  httpsMembers: 'https.Server',
  http2Members: 'http2.Http2SecureServer',
  tlsSocket: 'tls.TLSSocket',
};

const eventsOf: Record<string, string[]> = {
  serverEvents: ['net.Server', 'tls.Server'],
  httpsEvents: ['https.Server'],
  http2Events: ['http2.Http2SecureServer'],
  socketEvents: ['net.Socket', 'tls.TLSSocket'],
};

/** By the types of @types/node; of classes without what EventEmitter has. */
export function typedNames(): Names {
  const { checker, typeOf } = types([
    ...Object.values(subjects),
    ...Object.values(eventsOf).flat(),
  ]);
  const names: Names = {};
  for (const [section, subject] of Object.entries(subjects))
    names[section] = new Set(typeOf(subject).getProperties().filter(isPublic).map(nameOf));
  for (const [section, classes] of Object.entries(eventsOf))
    names[section] = new Set(classes.flatMap((each) => events(checker, typeOf(each))));
  return names;
}

/** Of the running Node, on prototypes and on fresh objects. */
export function runningNames(): Names {
  const Http2SecureServer = Object.getPrototypeOf(http2.createSecureServer()) as object;
  return {
    serverMembers: union([own(net.Server.prototype), own(tls.Server.prototype)]),
    httpsMembers: own(https.Server.prototype),
    http2Members: own(Http2SecureServer),
    tlsSocket: union(
      [tls.TLSSocket, net.Socket, Duplex].map(({ prototype }) => own(prototype as object)),
    ),
  };
}

export function union(sets: readonly Set<string>[]): Set<string> {
  const all = new Set<string>();
  for (const names of sets) for (const name of names) all.add(name);
  return all;
}

function own(prototype: object): Set<string> {
  return new Set(
    Object.getOwnPropertyNames(prototype).filter(
      (name) => !name.startsWith('_') && name !== 'constructor',
    ),
  );
}

function types(subjectNames: string[]): {
  checker: ts.TypeChecker;
  typeOf(subject: string): ts.Type;
} {
  const file = path.join(PACKAGE, 'documented.ts');
  const imports = ['net', 'tls', 'https', 'http2'].map(
    (name) => `import type ${name} from 'node:${name}';`,
  );
  const aliases = subjectNames.map((subject, i) => `export type T${i} = ${subject};`);
  const text = [...imports, ...aliases].join('\n');
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.Node20,
    moduleResolution: ts.ModuleResolutionKind.Node16,
    esModuleInterop: true,
    lib: ['lib.es2023.d.ts'],
    types: ['node'],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (name, ...rest) =>
    name === file
      ? ts.createSourceFile(name, text, ts.ScriptTarget.ES2023)
      : getSourceFile(name, ...rest);
  const program = ts.createProgram([file], options, host);
  const checker = program.getTypeChecker();
  const found = new Map<string, ts.Type>();
  for (const statement of program.getSourceFile(file)!.statements)
    if (ts.isTypeAliasDeclaration(statement))
      found.set(
        subjectNames[Number(statement.name.text.slice(1))],
        checker.getTypeAtLocation(statement.name),
      );
  return { checker, typeOf: (subject) => found.get(subject)! };
}

/** Not of EventEmitter, whose methods classes list again for their events' sake. */
function isPublic({ name, declarations }: ts.Symbol): boolean {
  return (
    (!name.startsWith('_') || name.startsWith('__@async')) &&
    !declarations!.some((each) => each.getSourceFile().fileName.endsWith('/events.d.ts')) &&
    !emitterMethods.has(name)
  );
}

const emitterMethods = new Set([
  'addListener',
  'emit',
  'off',
  'on',
  'once',
  'prependListener',
  'prependOnceListener',
  'removeListener',
]);

/** `[Symbol.asyncDispose]` is `__@asyncDispose@118` to the compiler. */
function nameOf({ name }: ts.Symbol): string {
  const symbol = /^__@(\w+)@\d+$/.exec(name);
  return symbol === null ? name : `[Symbol.${symbol[1]}]`;
}

/** First parameters of `on` that are literals. */
function events(checker: ts.TypeChecker, type: ts.Type): string[] {
  const on = checker.getTypeOfSymbol(type.getProperty('on')!);
  return on.getCallSignatures().flatMap((signature) => {
    const event = checker.getTypeOfSymbol(signature.parameters[0]);
    return event.isStringLiteral() ? [event.value] : [];
  });
}
