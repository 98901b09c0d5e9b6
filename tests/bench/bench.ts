/**
 * What the agent costs, measured: a table on standard output, and everything in dist/bench.json.
 *
 *     npm run bench                                      all parts, on the first kernel
 *     npm run bench -- evict rest --kernel 6.12          these parts, in a guest with that kernel
 *     npm run bench -- --binary dist/mem-agent-linux-x64
 *
 * Each figure is the median of its runs, beside a reference measured in turn with it: a busy machine slows both.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { kernelNames, type KernelName } from "../guest/harness/kernels.ts";
import { figureJson, figureTable, isWithin, type Figure } from "./figures.ts";
import { evictFigures } from "./evict-part.ts";
import { hotFigures } from "./hot-part.ts";
import { restFigures } from "./rest-part.ts";
import { weightFigures } from "./weight-part.ts";
import {
  commandFigures,
  hourFigures,
  holdFigures,
  idleFigures,
  scannerFigures,
  sizeFigures,
  startFigures,
  runtimeFigures,
} from "./native-parts.ts";
import { makePrograms, type Bench } from "./programs.ts";

type Part = (bench: Bench, kernel: KernelName) => Figure[] | Promise<Figure[]>;

const parts: Readonly<Record<string, Part>> = {
  size: sizeFigures,
  scanner: scannerFigures,
  command: commandFigures,
  start: startFigures,
  runtime: runtimeFigures,
  weight: weightFigures,
  idle: idleFigures,
  hour: hourFigures,
  hold: holdFigures,
  evict: evictFigures,
  hot: hotFigures,
  rest: restFigures,
};

const dist = join(import.meta.dir, "../../dist");

interface Wanted {
  readonly parts: readonly string[];
  readonly kernel: KernelName;
  readonly binary: string;
}

/** @throws Error with what is wrong with the command line */
function wanted(argv: readonly string[]): Wanted {
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: { kernel: { type: "string" }, binary: { type: "string" } },
    allowPositionals: true,
  });
  const unknown = positionals.filter((name) => !Object.hasOwn(parts, name));
  if (unknown.length > 0) {
    throw new Error(`unknown part ${unknown.join(" ")}; there are ${Object.keys(parts).join(", ")}`);
  }
  const kernel = kernelNames.find((name) => name === (values.kernel ?? kernelNames[0]));
  if (kernel === undefined) throw new Error(`unknown kernel ${values.kernel}; there are ${kernelNames.join(", ")}`);
  const chosen = positionals.length === 0 ? Object.keys(parts) : positionals;
  return { parts: chosen, kernel, binary: values.binary ?? join(dist, "mem-agent") };
}

function save(figures: readonly Figure[], kernel: KernelName): void {
  const path = join(dist, "bench.json");
  const measured = new Set(figures.map(({ part }) => part));
  const before = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as { figures: { part: string }[] }) : null;
  const kept = before?.figures.filter(({ part }) => !measured.has(part)) ?? [];
  const machine = { cpu: cpus()[0]?.model ?? "unknown", cpus: cpus().length, runtime: `Bun ${Bun.version}`, kernel };
  mkdirSync(dist, { recursive: true });
  const body = { when: new Date().toISOString(), machine, figures: [...kept, ...figures.map(figureJson)] };
  writeFileSync(path, `${JSON.stringify(body, null, 2)}\n`);
}

async function main(argv: readonly string[]): Promise<number> {
  const { parts: chosen, kernel, binary } = wanted(argv);
  const bench = await makePrograms(binary);
  const figures: Figure[] = [];
  for (const name of chosen) {
    const startMs = performance.now();
    console.error(`bench: ${name}`);
    figures.push(...((await parts[name]?.(bench, kernel)) ?? []));
    console.error(`bench: ${name} took ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
    save(figures, kernel);
  }
  console.log(figureTable(figures));
  const missed = figures.filter((figure) => isWithin(figure) === false);
  for (const { part, name } of missed) console.log(`above its limit: ${part}, ${name}`);
  return missed.length === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  return 2;
});
