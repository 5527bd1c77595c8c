/** Preloaded into a program: tells its parent how many handshakes the core has done. */
import { stats } from 'offloop';

process.on('message', () => process.send({ handshakes: stats().handshakes.done }));
process.channel.unref();
