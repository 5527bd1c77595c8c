/**
 * Replaces the contexts of a listening server 10,000 times in each of the ways, with keys that
 * change, and says how large the process was after a tenth of them and after all.
 */
const { createServer } = require('offloop');

const identities = JSON.parse(process.env.IDENTITIES);
const TIMES = 10_000;

const server = createServer(identities[0], (socket) => socket.on('error', () => {}));
server.listen(0, '127.0.0.1', async () => {
  const ways = {
    setSecureContext: (identity) => server.setSecureContext(identity),
    addContext: (identity) => server.addContext('a.test', identity),
  };
  for (const [way, reload] of Object.entries(ways)) {
    let before = 0;
    for (let i = 1; i <= TIMES; i++) {
      // Options that were not there before: contexts of equal ones are parsed once.
      reload({ ...identities[i % identities.length], sessionIdContext: String(i) });
      // Finalizers run in turns of the event loop.
      if (i % 100 === 0) await collected();
      if (i === TIMES / 10) before = process.memoryUsage().rss;
    }
    const after = process.memoryUsage().rss;
    console.log(JSON.stringify({ way, before, after, kept: server._contexts.length }));
  }
  server.close();
});

async function collected() {
  globalThis.gc();
  await new Promise((resolve) => setImmediate(resolve));
}
