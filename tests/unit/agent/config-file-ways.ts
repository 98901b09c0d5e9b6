/** Every way in which a settings file comes, goes and changes. */
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

export interface Way {
  readonly name: string;
  /** Makes what is there before; returns the watched path. */
  readonly before: (top: string) => string;
  readonly act: (path: string, top: string) => void;
  readonly reads: string | null;
}

export function plainFile(top: string): string {
  const path = join(top, "conf", "agent.toml");
  mkdirSync(dirname(path));
  writeFileSync(path, "old");
  return path;
}

function nothingThere(top: string): string {
  return join(top, "conf", "deep", "agent.toml");
}

/** As Kubernetes mounts a ConfigMap: the file is a link through `..data`, which is swapped as a whole. */
export function configMap(top: string): string {
  const folder = join(top, "map");
  mkdirSync(join(folder, "..1"), { recursive: true });
  writeFileSync(join(folder, "..1", "agent.toml"), "old");
  symlinkSync("..1", join(folder, "..data"));
  symlinkSync("..data/agent.toml", join(folder, "agent.toml"));
  return join(folder, "agent.toml");
}

export function swapConfigMap(folder: string, text: string, version: string): void {
  mkdirSync(join(folder, `..${version}`));
  writeFileSync(join(folder, `..${version}`, "agent.toml"), text);
  symlinkSync(`..${version}`, join(folder, "..data_tmp"));
  renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
}

export function replaceBy(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

export const ways: readonly Way[] = [
  { name: "written in place", before: plainFile, act: (path) => writeFileSync(path, "new"), reads: "new" },
  { name: "appended to", before: plainFile, act: (path) => appendFileSync(path, "er"), reads: "older" },
  { name: "replaced by rename, as by sed -i", before: plainFile, act: (path) => replaceBy(path, "new"), reads: "new" },
  {
    name: "moved away and written anew, as by vim with backups",
    before: plainFile,
    act: (path) => {
      renameSync(path, `${path}~`);
      writeFileSync(path, "new");
      rmSync(`${path}~`);
    },
    reads: "new",
  },
  { name: "removed", before: plainFile, act: (path) => rmSync(path), reads: null },
  {
    name: "written with its size and time of change kept",
    before: plainFile,
    act: (path) => {
      writeFileSync(path, "new");
      utimesSync(path, 1, 1);
    },
    reads: "new",
  },
  {
    name: "made where there was no file",
    before: (top) => {
      const path = plainFile(top);
      rmSync(path);
      return path;
    },
    act: (path) => writeFileSync(path, "new"),
    reads: "new",
  },
  {
    name: "made with the folders above it",
    before: nothingThere,
    act: (path) => {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, "new");
    },
    reads: "new",
  },
  {
    name: "swapped with the whole ConfigMap",
    before: configMap,
    act: (path) => swapConfigMap(dirname(path), "new", "2"),
    reads: "new",
  },
  {
    name: "changed where a link in another folder leads to",
    before: (top) => {
      mkdirSync(join(top, "real"));
      mkdirSync(join(top, "via"));
      writeFileSync(join(top, "real", "file"), "old");
      symlinkSync(join(top, "real", "file"), join(top, "via", "link"));
      symlinkSync("via/link", join(top, "agent.toml"));
      return join(top, "agent.toml");
    },
    act: (_, top) => replaceBy(join(top, "real", "file"), "new"),
    reads: "new",
  },
  {
    name: "written through another name, as through a bind mount",
    before: (top) => {
      const path = plainFile(top);
      mkdirSync(join(top, "other"));
      linkSync(path, join(top, "other", "name"));
      return path;
    },
    act: (_, top) => writeFileSync(join(top, "other", "name"), "new"),
    reads: "new",
  },
  {
    name: "led elsewhere by a link in the middle",
    before: (top) => {
      mkdirSync(join(top, "via"));
      writeFileSync(join(top, "one"), "old");
      writeFileSync(join(top, "two"), "new");
      symlinkSync("../one", join(top, "via", "link"));
      symlinkSync("via/link", join(top, "agent.toml"));
      return join(top, "agent.toml");
    },
    act: (_, top) => {
      symlinkSync("../two", join(top, "via", "other"));
      renameSync(join(top, "via", "other"), join(top, "via", "link"));
    },
    reads: "new",
  },
  {
    name: "replaced with its whole folder",
    before: plainFile,
    act: (path, top) => {
      mkdirSync(join(top, "next"));
      writeFileSync(join(top, "next", "agent.toml"), "new");
      renameSync(dirname(path), join(top, "away"));
      renameSync(join(top, "next"), dirname(path));
    },
    reads: "new",
  },
  {
    name: "gone with a folder far above it",
    before: (top) => {
      const path = nothingThere(top);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, "old");
      return path;
    },
    act: (_, top) => renameSync(join(top, "conf"), join(top, "away")),
    reads: null,
  },
];
