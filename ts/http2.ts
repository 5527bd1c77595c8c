import http2 from 'node:http2';
import { dropIn, replacements } from './modules.js';

/** `node:http2` with its server side on the core. */
export = dropIn(http2, replacements(false).http2);
