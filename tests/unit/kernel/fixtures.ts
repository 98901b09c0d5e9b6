/** Trees of kernel files saved from real guests, and trees made for one test. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export const guestNames = ["6.1", "6.1-v1", "6.12", "6.12-numa", "7.2"] as const;

/** The root of a guest's tree. */
export function guestRoot(name: string): string {
  return join(import.meta.dir, "../../fixtures", name);
}

/** Bytes of one file of a guest. */
export function guestFile(name: string, path: string): Buffer {
  return readFileSync(join(guestRoot(name), path));
}

/** The same file of every guest. */
export function guestFiles(path: string): Buffer[] {
  return guestNames.map((name) => guestFile(name, path));
}

/** A folder that is removed at the end of the block that holds it. */
export class Tree implements Disposable {
  readonly root: string;

  constructor(files: Readonly<Record<string, string>> = {}) {
    this.root = mkdtempSync(join(tmpdir(), "kernel-"));
    for (const [path, text] of Object.entries(files)) this.write(path, text);
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }

  read(path: string): string {
    return readFileSync(join(this.root, path), "utf8");
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
