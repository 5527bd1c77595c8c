/** `node:http2` with its server side on the core: its types are Node's. */
export * from 'node:http2';
export { default } from 'node:http2';
