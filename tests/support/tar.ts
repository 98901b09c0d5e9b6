/**
 * Writes tar archives in the ustar form (POSIX.1-1988, pax(1)) that are the same byte by byte for the same content: no
 * time, owner or order but the given one.
 */

export interface TarEntry {
  /** Relative, with `/`; at most 100 bytes. */
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly mode: number;
}

const blockBytes = 512;
/** An archive is filled up to a whole record. */
const recordBytes = 20 * blockBytes;
const pathBytesMax = 100;
const fileType = "0";

/** The archive with its entries in the order of their paths. Every entry has the time `mtimeSecs` and belongs to root. */
export function makeTar(entries: readonly TarEntry[], mtimeSecs: number): Buffer {
  const sorted = entries.toSorted((left, right) => (left.path < right.path ? -1 : 1));
  const parts = sorted.flatMap(({ path, bytes, mode }) => [
    header(path, bytes.length, mode, mtimeSecs),
    bytes,
    Buffer.alloc(padding(bytes.length, blockBytes)),
  ]);
  const length = parts.reduce((sum, part) => sum + part.length, 0) + 2 * blockBytes;
  return Buffer.concat([...parts, Buffer.alloc(2 * blockBytes + padding(length, recordBytes))]);
}

function padding(length: number, unit: number): number {
  return (unit - (length % unit)) % unit;
}

/** Fields at their fixed places; numbers are octal text. The checksum counts its own field as blanks. */
function header(path: string, size: number, mode: number, mtimeSecs: number): Buffer {
  if (Buffer.byteLength(path) > pathBytesMax) throw new Error(`cannot archive ${path}: its path is too long`);
  const block = Buffer.alloc(blockBytes);
  const octal = (value: number, at: number, digits: number): void => {
    block.write(`${value.toString(8).padStart(digits, "0")}\0`, at, "latin1");
  };
  block.write(path, 0, "utf8");
  octal(mode, 100, 7);
  octal(0, 108, 7);
  octal(0, 116, 7);
  octal(size, 124, 11);
  octal(mtimeSecs, 136, 11);
  block.write(" ".repeat(8), 148, "latin1");
  block.write(fileType, 156, "latin1");
  block.write("ustar\u000000", 257, "latin1");
  block.write("root", 265, "latin1");
  block.write("root", 297, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
