// Where figures were taken.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, type } from 'node:os';

/** Versions and processor, for the head of a report. `node` is the path of the servers' Node. */
export function describeMachine(node) {
  const script = 'console.log(JSON.stringify(process.versions))';
  const versions = JSON.parse(execFileSync(node, ['-e', script], { encoding: 'utf8' }));
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return {
    date: new Date().toISOString(),
    node: versions.node,
    openssl: versions.openssl,
    offloop: JSON.parse(manifest).version,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    system: `${type()} ${release()}`,
  };
}
