/** Node's modules and offloop's of the same names: the same servers on both. */
import https from 'node:https';
import http2 from 'node:http2';
import tls from 'node:tls';

import offloopHttps from 'offloop/https';
import offloopHttp2 from 'offloop/http2';
import offloopTls from 'offloop/tls';

export interface Modules {
  readonly name: 'node' | 'offloop';
  readonly tls: typeof tls;
  readonly https: typeof https;
  readonly http2: typeof http2;
}

export const node: Modules = { name: 'node', tls, https, http2 };

export const offloop: Modules = {
  name: 'offloop',
  tls: offloopTls,
  https: offloopHttps,
  http2: offloopHttp2,
};

export const libraries: readonly Modules[] = [node, offloop];
