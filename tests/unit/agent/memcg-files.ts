/** Paths and texts of the kernel's cgroup files, for tests. */

/** memory.stat of version 2, with what a run reads of it. */
export function memoryStatText(
  fileBytes: number,
  { refaulted, stolen, ours }: { readonly refaulted: number; readonly stolen: number; readonly ours: number },
): string {
  const sizes = ["file_mapped", "shmem", "inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable"];
  const lines = [
    "anon 0",
    `file ${fileBytes}`,
    ...sizes.map((name) => `${name} 0`),
    `pgsteal ${stolen}`,
    `pgsteal_kswapd ${stolen - ours}`,
    `pgsteal_proactive ${ours}`,
    "pgscan 0",
    "workingset_refault_anon 0",
    `workingset_refault_file ${refaulted}`,
  ];
  return `${lines.join("\n")}\n`;
}

/** The cgroup and all above it. */
export function lineage(path: string): readonly string[] {
  const names = path.split("/").filter((name) => name !== "");
  return [...names.map((_, index) => `/${names.slice(0, names.length - index).join("/")}`), "/"];
}

/** Pages of a node in all its generations. */
export function sizesOf({
  generations,
}: {
  readonly generations: readonly { readonly anonPages: number; readonly filePages: number }[];
}): { readonly anonPages: number; readonly filePages: number } {
  return {
    anonPages: generations.reduce((sum, { anonPages }) => sum + anonPages, 0),
    filePages: generations.reduce((sum, { filePages }) => sum + filePages, 0),
  };
}
