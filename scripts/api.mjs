// `npm run api`: writes etc/offloop.api.md, the public API as a text that reviews and a test compare.
// `npm run pack` takes the public types from here, in one file and without what is internal.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';

import { Extractor, ExtractorConfig } from '@microsoft/api-extractor';

import { root } from './setup.mjs';

/** @returns the report, the types in one file, and the names of public items without a text. */
export function publicApi() {
  const folder = path.join(root, 'target/api');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.join(folder, 'report'), { recursive: true });
  declare(folder);
  const config = ExtractorConfig.prepare({
    configObject: configuration(folder),
    configObjectFullPath: path.join(folder, 'api-extractor.json'),
    packageJsonFullPath: path.join(root, 'package.json'),
  });
  const problems = [];
  const { succeeded } = Extractor.invoke(config, {
    localBuild: true,
    messageCallback(message) {
      message.handled = true;
      if (message.logLevel === 'error') problems.push(message.text);
    },
  });
  if (!succeeded || problems.length > 0) throw new Error(problems.join('\n'));
  const read = (name) => readFileSync(path.join(folder, name), 'utf8');
  return {
    report: read('report/offloop.api.md'),
    types: read('types.d.ts'),
    silent: [...silentIn(JSON.parse(read('model.json')))],
  };
}

/** Declarations without what is marked as internal; the tests need those that the build writes. */
function declare(folder) {
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc');
  const dist = path.join(folder, 'dist');
  const flags = [
    '--emitDeclarationOnly',
    '--stripInternal',
    '--sourceMap',
    'false',
    '--outDir',
    dist,
  ];
  execFileSync(process.execPath, [tsc, '-p', root, ...flags], { stdio: ['ignore', 2, 2] });
  cpSync(path.join(root, 'native/binding.d.ts'), path.join(folder, 'native/binding.d.ts'));
  // The classes as they are with a core; those without have the same members.
  const entry = `export * from './dist/index.js';
    export { createSecureContext, SecureContext } from './dist/secure-context.js';
    export { TlsSocket } from './dist/tls-socket.js';`;
  writeFileSync(path.join(folder, 'entry.d.ts'), entry);
}

function configuration(folder) {
  const silently = { default: { logLevel: 'none' } };
  return {
    projectFolder: root,
    mainEntryPointFilePath: path.join(folder, 'entry.d.ts'),
    newlineKind: 'lf',
    compiler: { tsconfigFilePath: path.join(root, 'tsconfig.json') },
    apiReport: {
      enabled: true,
      // What public types are made of is public too.
      includeForgottenExports: true,
      reportFileName: 'offloop.api.md',
      reportFolder: path.join(folder, 'report'),
      reportTempFolder: path.join(folder, 'temporary'),
    },
    docModel: { enabled: true, apiJsonFilePath: path.join(folder, 'model.json') },
    dtsRollup: { enabled: true, untrimmedFilePath: path.join(folder, 'types.d.ts') },
    tsdocMetadata: { enabled: false },
    messages: {
      compilerMessageReporting: { default: { logLevel: 'error' } },
      extractorMessageReporting: silently,
      tsdocMessageReporting: silently,
    },
  };
}

function* silentIn({ kind, name, docComment, members = [] }, above = '') {
  const itself = ['Package', 'EntryPoint'].includes(kind);
  const full = `${above}${name ?? 'constructor'}`;
  if (!itself && docComment === '') yield full;
  for (const member of members) yield* silentIn(member, itself ? '' : `${full}.`);
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(path.join(root, 'etc'), { recursive: true });
  writeFileSync(path.join(root, 'etc/offloop.api.md'), publicApi().report);
}
