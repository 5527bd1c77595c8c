/**
 * Replaces the contexts of a listening server so many times in each of the ways, with keys that
 * change, and says how large the process was after a tenth of them and after all, and how many keys
 * it has when it has no more than it uses.
 */
const offloop = require('offloop');

const identities = JSON.parse(process.env.IDENTITIES);
const TIMES = Number(process.env.TIMES);

const server = offloop.createServer(identities[0], (socket) => socket.on('error', () => {}));
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
    const kept = server._contexts.length;
    // One for all names; two for a single name: as it was checked, and with what the server decides.
    while (offloop.stats().memory.privateKeys > 1 + 2 * kept) await collected();
    const { privateKeys } = offloop.stats().memory;
    console.log(JSON.stringify({ way, before, after, kept, privateKeys }));
  }
  server.close();
});

async function collected() {
  globalThis.gc();
  await new Promise((resolve) => setImmediate(resolve));
}
