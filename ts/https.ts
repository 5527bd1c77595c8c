import https from 'node:https';
import { dropIn, replacements } from './modules.js';

/** `node:https` with its server side on the core. */
export = dropIn(https, replacements(false).https);
