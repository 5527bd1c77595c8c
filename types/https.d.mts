/** `node:https` with its server side on the core: its types are Node's. */
export * from 'node:https';
export { default } from 'node:https';
