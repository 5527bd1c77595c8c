/** A program of its own: what happens to a process can't be tested inside of the runner's. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs `source`, an ES module that can import 'offloop', to its end. `input` reaches it as JSON in
 * the global `input`, `descriptors` as 3, 4 and so on. Killed after 30 s.
 */
export function run(
  source: string,
  input: object = {},
  descriptors: readonly number[] = [],
): Promise<Ended> {
  const prelude = `globalThis.input = JSON.parse(process.argv[1]);\n`;
  const child = spawn(
    process.execPath,
    ['--input-type=module', '-e', prelude + source, JSON.stringify(input)],
    { cwd: root, stdio: ['ignore', 'pipe', 'pipe', ...descriptors], timeout: 30_000 },
  );
  const [stdout, stderr] = [child.stdout!, child.stderr!].map((stream) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    return () => Buffer.concat(chunks).toString();
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) =>
      resolve({ code, signal, stdout: stdout(), stderr: stderr() }),
    );
  });
}
