// Workers that load the package and end, one after the other; the main thread never loads it.
'use strict';
const { Worker, isMainThread } = require('node:worker_threads');

if (isMainThread) {
  const next = (round) => {
    if (round === 4) return;
    const worker = new Worker(__filename);
    worker.once('error', (error) => {
      console.error(error);
      process.exit(1);
    });
    worker.once('exit', () => next(round + 1));
  };
  next(0);
} else {
  require('offloop').stats();
}
