/**
 * `/proc/self/mountinfo`: what is mounted where, as this process sees it. Linux 2.6.26, proc_pid_mountinfo(5).
 *
 *     41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
 *
 * Fields: mount id, parent, device, root within the file system, mount point, options, optional fields up to `-`,
 * type, source, options of the file system. Blank, tab, newline and backslash are written as `\040` and so on.
 */
import { malformed, readText } from "../system/pseudo-file.ts";

export interface Mount {
  /** Folder of the file system that is mounted, `/` for the whole of it. */
  readonly root: string;
  readonly mountPoint: string;
  readonly fileSystem: string;
  readonly source: string;
  /** Options of the file system itself: for cgroup v1 the controllers. */
  readonly superOptions: readonly string[];
}

const place = "/proc/self/mountinfo";
const fieldsBeforeOptional = 6;

/** In the order of mounting: of two at one point the later hides the earlier. Fault `malformed`. */
export function parseMountinfo(text: string): Mount[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map(parseMount);
}

/** Faults: `missing` (no proc), `malformed`, `io`. */
export function readMountinfo(root: string): Mount[] {
  return parseMountinfo(readText(root, place));
}

function parseMount(line: string): Mount {
  const fields = line.split(" ");
  const separator = fields.indexOf("-", fieldsBeforeOptional);
  const [fileSystem, source, options] = separator < 0 ? [] : fields.slice(separator + 1);
  const [, , , root, mountPoint] = fields;
  if (root === undefined || mountPoint === undefined || fileSystem === undefined || source === undefined) {
    throw malformed(place, "unexpected line", line);
  }
  return {
    root: unescape(root),
    mountPoint: unescape(mountPoint),
    fileSystem,
    source: unescape(source),
    superOptions: (options ?? "").split(","),
  };
}

function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
