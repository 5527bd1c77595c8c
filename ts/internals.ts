/**
 * The value under a symbol of Node's own, found by the symbol's description: some options of a
 * server are kept nowhere else.
 */
export function internalOf(object: object, description: string): unknown {
  const symbol = internalSymbol(object, description);
  return symbol && (object as Record<symbol, unknown>)[symbol];
}

/** That symbol; undefined if the object has none. */
export function internalSymbol(object: object, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(object).find((symbol) => symbol.description === description);
}
