// `npm run docs:examples`: puts the programs of examples/ into the pages that show them.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);

/** The guides, and the other page with a program: `text` as it is, `due` as it should be, with the programs that it shows. */
export function pages() {
  const guides = readdirSync(new URL('docs/guides/', root)).map((name) => `docs/guides/${name}`);
  return [...guides, 'docs/proxy.md'].map((name) => {
    const text = readFileSync(new URL(name, root), 'utf8');
    const programs = [];
    const due = text.replaceAll(FENCE, (_, program) => {
      programs.push(program);
      return `\`\`\`js [${program}]\n${readFileSync(new URL(program, root), 'utf8')}\`\`\``;
    });
    return { name, text, due, programs };
  });
}

const FENCE = /^```js \[(examples\/[\w-]+\.mjs)\]\n.*?^```$/gms;

if (argv[1] === fileURLToPath(import.meta.url)) {
  for (const { name, due } of pages()) writeFileSync(new URL(name, root), due);
}
