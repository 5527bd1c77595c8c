// Terminates workers in the middle of their storms, one after the other, after so many events.
/* oxlint-disable unicorn/require-post-message-target-origin -- that is for windows */
'use strict';
const path = require('node:path');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');

if (isMainThread) {
  const settings = JSON.parse(process.env.STORM);
  // Else the addon belongs to workers alone, the first of which is gone when the second loads it.
  if (settings.mainToo) require('offloop').stats();
  const next = (round) => {
    if (round === settings.rounds) {
      // Nothing of the workers may be left to keep the process.
      process.stdout.write(`${JSON.stringify({ rounds: round })}\n`);
      return;
    }
    const worker = new Worker(__filename, { workerData: { ...settings, events: round * 7 + 1 } });
    worker.on('error', (error) => {
      console.error(error);
      process.exit(1);
    });
    worker.once('message', () => worker.terminate());
    worker.once('exit', () => next(round + 1));
  };
  next(0);
} else {
  const storm = require(path.join(__dirname, 'storm.cjs'));
  let left = workerData.events;
  storm(workerData, () => {
    if (left-- === 0) parentPort.postMessage('now');
  });
}
