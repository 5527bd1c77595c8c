import type { NativeContext } from './native.js';
import { SecureContext, type ServerPolicy } from './secure-context.js';

/** The contexts of a server, each parsed for its policy when it is given: a bad one throws there. */
export class ServerContexts {
  private readonly names: { name: string; context: SecureContext }[] = [];

  constructor(
    private shared: SecureContext,
    public policy: ServerPolicy,
  ) {
    this.nativeOf(shared);
  }

  /** The one for all names. */
  get context(): SecureContext {
    return this.shared;
  }

  set context(context: SecureContext) {
    this.nativeOf(context);
    this.shared = context;
  }

  /** Those for single names. */
  get named(): readonly SecureContext[] {
    return this.names.map(({ context }) => context);
  }

  /** True: it replaced another of this name. */
  add(name: string, context: SecureContext): boolean {
    this.nativeOf(context);
    const isNamed = (each: { name: string }): boolean =>
      each.name.toLowerCase() === name.toLowerCase();
    const last = this.names.findIndex(isNamed);
    if (last >= 0) this.names.splice(last, 1);
    this.names.push({ name, context });
    return last >= 0;
  }

  nativeOf(context: SecureContext): NativeContext {
    return SecureContext.native(context, this.policy, this.shared);
  }

  /** As the core takes them; `byName`: does it look names up? */
  table(byName: boolean): [fallback: NativeContext, names: string[], contexts: NativeContext[]] {
    const names = byName ? this.names : [];
    return [
      this.nativeOf(this.shared),
      names.map(({ name }) => name),
      names.map(({ context }) => this.nativeOf(context)),
    ];
  }
}
