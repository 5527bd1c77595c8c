import http2 from './http2.js';
export * from 'node:http2';
export const { createSecureServer } = http2;
export default http2;
