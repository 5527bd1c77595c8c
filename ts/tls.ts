import tls from 'node:tls';
import { dropIn, replacements } from './modules.js';

/** `node:tls` with its server side on the core. */
export = dropIn(tls, replacements(false).tls);
