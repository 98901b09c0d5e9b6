/** What cgroups use while they are evicted: read around each batch, from files that stay open for those that are kept. */
import { isFault } from "../base/fault.ts";
import type { CgroupTree } from "../kernel/cgroup.ts";
import { readUsageBytes, UsageFile } from "../kernel/memory-control.ts";
import type { TargetState } from "./memcg-registry.ts";

export class UsageFiles implements Disposable {
  readonly #root: string;
  readonly #tree: CgroupTree;
  readonly #files = new Map<TargetState, UsageFile | null>();

  constructor(root: string, tree: CgroupTree, kept: readonly TargetState[]) {
    this.#root = root;
    this.#tree = tree;
    for (const target of kept) {
      this.#files.set(
        target,
        readable(() => UsageFile.open(root, tree, target.cgroup.path)),
      );
    }
  }

  /** Null where the kernel does not say, or will not. */
  bytes(target: TargetState): number | null {
    const file = this.#files.get(target);
    if (file === undefined) return readable(() => readUsageBytes(this.#root, this.#tree, target.cgroup.path));
    return readable(() => file?.readBytes() ?? null);
  }

  [Symbol.dispose](): void {
    for (const file of this.#files.values()) file?.[Symbol.dispose]();
  }
}

function readable<T>(read: () => T | null): T | null {
  try {
    return read();
  } catch (error) {
    if (isFault(error)) return null;
    throw error;
  }
}
