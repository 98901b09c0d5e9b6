/**
 * Cgroup and file names as strings that find their way back to the file system.
 *
 * The kernel's names are bytes. A name that is valid UTF-8 is that text. Each byte that is not part of valid UTF-8
 * becomes a lone low surrogate, U+DC00 + byte (as Python's surrogateescape does): valid UTF-8 cannot hold one, so
 * two names never meet, JSON carries the string, and `fsPath` gives the bytes back. node:path spoils such strings:
 * put paths together with template literals.
 */
import { escapeControls } from "../base/log-line.ts";

/** What node:fs is given: text, or bytes where the name is not valid UTF-8. */
export type FsPath = string | Buffer;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const escapeBase = 0xdc00;

/** The string for a name's bytes. Never throws. */
export function decodeName(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    return decodeEscaped(bytes);
  }
}

/** The same name for node:fs: the string itself, or its bytes where a string would be garbled. */
export function fsPath(name: string): FsPath {
  return name.isWellFormed() ? name : encodeName(name);
}

/** The bytes of a name. */
export function encodeName(name: string): Buffer {
  const parts: Buffer[] = [];
  for (const character of name) {
    const code = character.codePointAt(0) ?? 0;
    const escaped = code > escapeBase + 0x7f && code <= escapeBase + 0xff;
    parts.push(escaped ? Buffer.from([code - escapeBase]) : Buffer.from(character));
  }
  return Buffer.concat(parts);
}

/** C0 and DEL, and bytes that are no UTF-8: one of 256. */
const oddByte =
  // oxlint-disable-next-line no-control-regex -- finding control characters is what it is for
  /[\u0000-\u001f\u007f]|(?<![\ud800-\udbff])[\udc80-\udcff]/g;
/** Where a name itself looks like an escape of ours; `\x2d`, as systemd writes a dash, does not. */
const likeOurs = /\\(?=x(?:[01][0-9a-f]|5c|7f|[89a-f][0-9a-f])|u[0-9a-f]{4})/g;

/**
 * A name for people, and for JSON, events and metrics: on one line, odd bytes as `\xNN`, other odd characters as `\uNNNN`.
 * Two names are never shown as one: a backslash that would read as such an escape is `\x5c`. Not for the file system.
 */
export function displayPath(name: FsPath): string {
  const text = typeof name === "string" ? name : decodeName(name);
  const bytes = text
    .replaceAll(likeOurs, "\\x5c")
    .replaceAll(oddByte, (character) => `\\x${(character.charCodeAt(0) & 0xff).toString(16).padStart(2, "0")}`);
  return escapeControls(bytes);
}

function decodeEscaped(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const width = sequenceWidth(bytes, at);
    text +=
      width === 0 ? String.fromCharCode(escapeBase + (bytes[at] ?? 0)) : decodeOne(bytes.subarray(at, at + width));
    at += Math.max(width, 1);
  }
  return text;
}

function decodeOne(bytes: Uint8Array): string {
  return bytes.length === 1 ? String.fromCharCode(bytes[0] ?? 0) : decoder.decode(bytes);
}

/** Length of the valid UTF-8 sequence at `at`, 0 where there is none. */
function sequenceWidth(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return 1;
  const width = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (at + width > bytes.length) return 0;
  try {
    decoder.decode(bytes.subarray(at, at + width));
    return width;
  } catch {
    return 0;
  }
}
