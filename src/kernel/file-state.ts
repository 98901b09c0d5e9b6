/** Whether a kernel file can be opened, found out by opening it: rules of mode bits, capabilities and lockdown add up. */
import { closeSync, constants, openSync } from "node:fs";
import { errnoOf } from "../base/fault.ts";
import { under } from "../system/pseudo-file.ts";

/** `failed`: it is there and allowed, but the kernel refuses for another reason. */
export type FileState = "ok" | "missing" | "denied" | "failed";

/** Without O_CREAT, which the letters "w" and "a" of node:fs bring along. */
const openFlags = { read: constants.O_RDONLY, write: constants.O_WRONLY, both: constants.O_RDWR };

/** Opens and closes `path` for reading, writing, or both. The files of this folder do nothing when they are opened. */
export function fileState(root: string, path: string, mode: "read" | "write" | "both"): FileState {
  try {
    closeSync(openSync(under(root, path), openFlags[mode]));
    return "ok";
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return "missing";
    return errno === "EACCES" || errno === "EPERM" || errno === "EROFS" ? "denied" : "failed";
  }
}
