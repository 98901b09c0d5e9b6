/** Seeded damage to kernel texts: the same seed gives the same texts, so that a failure can be repeated. */
import { expect } from "bun:test";
import { Fault } from "../../../src/base/fault.ts";

export const mutationsPerParser = 20_000;

/** Numbers from 0 up to but not including 1 (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const oddities = [
  "-1",
  "18446744073709551615",
  "99999999999999999999999",
  "max",
  ">100000",
  "0x",
  "\n",
  "\n\n",
  " ",
  "\t",
];
const moreOddities = [
  "\0",
  "\u{1f4a9}",
  "NaN",
  "1e9",
  "memcg ",
  " node ",
  "kB",
  "=",
  ":",
  "\\",
  '"',
  "(",
  ")",
  "x",
  "%",
];
const dictionary = [...oddities, ...moreOddities];

/** One to four damages: a byte changed, a part cut out, repeated or moved, odd text put in, the end cut off. */
export function mutate(bytes: Uint8Array, random: () => number): Buffer {
  let damaged = Buffer.from(bytes);
  const count = 1 + Math.floor(random() * 4);
  for (let done = 0; done < count; done++) damaged = damageOnce(damaged, random);
  return damaged;
}

function damageOnce(bytes: Buffer, random: () => number): Buffer<ArrayBuffer> {
  const at = Math.floor(random() * (bytes.length + 1));
  const until = Math.min(bytes.length, at + Math.floor(random() * 40));
  const [head, part, tail] = [bytes.subarray(0, at), bytes.subarray(at, until), bytes.subarray(until)];
  switch (Math.floor(random() * 6)) {
    case 0:
      return Buffer.concat([head, Buffer.from([Math.floor(random() * 256)]), bytes.subarray(at + 1)]);
    case 1:
      return Buffer.concat([head, tail]);
    case 2:
      return Buffer.concat([head, part, part, tail]);
    case 3:
      return Buffer.concat([part, head, tail]);
    case 4:
      return Buffer.concat([head, Buffer.from(dictionary[Math.floor(random() * dictionary.length)] ?? ""), tail]);
    default:
      return Buffer.from(head);
  }
}

/** Parses many damaged texts: each gives a value or a Fault of kind `malformed`, never anything else. */
export function expectSturdy(samples: readonly (string | Uint8Array)[], parse: (text: string) => unknown): void {
  const random = seeded(samples.length + 7);
  const sources = samples.map((sample) => Buffer.from(sample as Uint8Array));
  let refused = 0;
  for (let run = 0; run < mutationsPerParser; run++) {
    const source = sources[run % sources.length] ?? Buffer.alloc(0);
    const text = mutate(source, random).toString("utf8");
    try {
      parse(text);
    } catch (error) {
      if (!(error instanceof Fault) || error.kind !== "malformed") {
        throw new Error(`run ${run} threw ${String(error)} for ${JSON.stringify(text)}`, { cause: error });
      }
      refused++;
    }
  }
  expect(refused).toBeLessThan(mutationsPerParser);
}
