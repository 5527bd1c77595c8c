// Child processes that never outlive this one.
import { fork, spawn } from 'node:child_process';

const living = new Set();
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

/** As `spawn` of node:child_process. */
export const spawnChild = (...args) => adopt(spawn(...args));

/** As `fork` of node:child_process. */
export const forkChild = (...args) => adopt(fork(...args));

function adopt(child) {
  living.add(child);
  child.once('exit', () => living.delete(child));
  child.once('error', () => {
    // It never started.
    if (child.pid === undefined) living.delete(child);
  });
  return child;
}
