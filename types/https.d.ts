/** `node:https` with its server side on the core: its types are Node's. */
import https = require('node:https');
export = https;
