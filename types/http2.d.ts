/** `node:http2` with its server side on the core: its types are Node's. */
import http2 = require('node:http2');
export = http2;
