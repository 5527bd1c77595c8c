// `npm run docs:commands`: fills the blocks of docs/commands.md that show a command's help, from
// the built package. What stands around them is written by hand.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';

const load = createRequire(import.meta.url);
const { helpOf } = load('../dist/cli/command.js');
export const { commands } = load('../dist/cli/commands.js');

const file = new URL('../docs/commands.md', import.meta.url);

/** The page as it is, and as it should be. */
export async function pages() {
  const now = readFileSync(file, 'utf8');
  let wanted = now;
  for (const [block, name] of now.matchAll(BLOCK)) {
    const { command } = await commands[name].load();
    const help = helpOf(name, commands[name].summary, command);
    wanted = wanted.replace(block, () => `\`\`\`text\n$ offloop ${name} --help\n${help}\`\`\``);
  }
  return { now, wanted, names: [...now.matchAll(BLOCK)].map(([, name]) => name) };
}

const BLOCK = /```text\n\$ offloop (\w+) --help\n[\s\S]*?```/g;

if (argv[1] === fileURLToPath(import.meta.url)) writeFileSync(file, (await pages()).wanted);
