/** What cgroups use while they are evicted: read around each batch, from files that stay open for those that are kept. */
import { nullIfFault } from "../../base/fault.ts";
import type { CgroupTree } from "../../kernel/cgroup.ts";
import { readUsageBytes, UsageFile } from "../../kernel/memory-control.ts";
import type { TargetState } from "./registry.ts";

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
        nullIfFault(() => UsageFile.open(root, tree, target.cgroup.path)),
      );
    }
  }

  /** Null where the kernel does not say, or will not. */
  bytes(target: TargetState): number | null {
    const file = this.#files.get(target);
    if (file === undefined) return nullIfFault(() => readUsageBytes(this.#root, this.#tree, target.cgroup.path));
    return nullIfFault(() => file?.readBytes() ?? null);
  }

  [Symbol.dispose](): void {
    for (const file of this.#files.values()) file?.[Symbol.dispose]();
  }
}
