/** `node:tls` with its server side on the core: its types are Node's. */
import tls = require('node:tls');
export = tls;
