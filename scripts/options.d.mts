/** docs/options.md, as it should be. */
export function page(): string;
