export const root: string;

/** Names on the site by path in the repository. */
export const pages: Readonly<Record<string, string>>;

export const unpublished: readonly string[];
