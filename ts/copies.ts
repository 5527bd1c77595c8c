const registry = Symbol.for('offloop.known');
const shared = globalThis as { [registry]?: WeakSet<object> };

/**
 * Contexts and attached servers of all copies of offloop that are loaded, from two `node_modules`
 * for example. Each copy has a core of its own, which can't work with what is another's; but each
 * can tell what that is.
 */
export const knownToCopies: WeakSet<object> = (shared[registry] ??= new WeakSet());
