interface Command {
  readonly options: Readonly<Record<string, { readonly type: 'string' | 'boolean' }>>;
}
interface CommandEntry {
  load(): Promise<{ readonly command: Command }>;
}
export const commands: Readonly<Record<string, CommandEntry>>;
export function pages(): Promise<{ now: string; wanted: string; names: string[] }>;
