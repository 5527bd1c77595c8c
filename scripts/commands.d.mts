export const commands: Readonly<Record<string, unknown>>;
export function pages(): Promise<{ now: string; wanted: string; names: string[] }>;
