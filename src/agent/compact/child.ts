/**
 * The process that compacts. Writing to compact_memory blocks in the kernel until all of memory was gone through, and
 * only a fatal signal ends it early; so the writing is done by a process of its own: this program, called again with a
 * hidden word and the root of the kernel's files as its arguments. It starts nothing else and needs no environment.
 */
import { join } from "node:path";
import { messageOf } from "../../base/fault.ts";
import { canCompact, compactMemory, compactNodes } from "../../kernel/compact-memory.ts";
import { compactChildWord } from "./word.ts";

/**
 * What starts such a process: the executable itself when compiled, else Bun with this package's entry. A compiled
 * program that has the agent as a library is not this program: it names a command of its own.
 */
export function compactChildCommand(): readonly string[] {
  if (Bun.isStandaloneExecutable) return [process.execPath, compactChildWord];
  return [process.execPath, join(import.meta.dir, "../../main.ts"), compactChildWord];
}

/**
 * The whole of the child: says that it is ready, compacts, and returns the exit status. What went wrong is one line for
 * the error output.
 *
 * @param args what follows the word: the root.
 */
export function runCompactChild(
  args: readonly string[],
  ready: () => void,
  writeError: (line: string) => void,
): number {
  const [root] = args;
  if (root === undefined || args.length > 1) {
    writeError(
      `cannot compact: ${args.length} arguments; this is a part of the daemon, use \`mem-agent run compact\`\n`,
    );
    return 2;
  }
  try {
    // Where the sysctl is hidden, as in some sandboxes, the nodes may still be compacted one by one.
    const nodes = canCompact(root) ? [] : compactNodes(root);
    ready();
    for (const node of nodes.length > 0 ? nodes : [null]) compactMemory(root, node);
    return 0;
  } catch (error) {
    writeError(`${messageOf(error)}\n`);
    return 1;
  }
}
