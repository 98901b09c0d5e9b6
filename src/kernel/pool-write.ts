/** Writes that take the kernel long: made on the pool, so that the event loop goes on. */
import { write } from "node:fs";

/**
 * One write(2) on a thread of the pool; resolves with the bytes written, rejects with what node:fs throws.
 * The pool has two threads: keep one such write in flight.
 */
export function writeOnPool(fd: number, bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, 0, bytes.length, null, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}
