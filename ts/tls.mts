import tls from './tls.js';
export * from 'node:tls';
export const { Server, TLSSocket, createSecureContext, createServer } = tls;
export default tls;
