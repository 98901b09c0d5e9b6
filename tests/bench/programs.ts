/** The executables that are measured, and those that they are measured against. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

export interface Bench {
  /** The agent. */
  readonly binary: string;
  /** Ends at once; see nothing.ts. */
  readonly nothing: string;
  /** Other ways to evict; see reference.ts. */
  readonly reference: string;
  /** What the runtime weighs; see weight.ts. */
  readonly weight: string;
}

const folder = join(import.meta.dir, "../../dist/bench");

/** Compiles the references as the agent is compiled. @throws Error where the agent was not built */
export async function makePrograms(binary: string): Promise<Bench> {
  if (!existsSync(binary)) throw new Error(`cannot measure ${binary}: it is not there; npm run build`);
  mkdirSync(folder, { recursive: true });
  const compiled = async (name: string): Promise<string> => {
    const outfile = join(folder, name);
    await Bun.build({
      entrypoints: [join(import.meta.dir, `${name}.ts`)],
      minify: true,
      bytecode: true,
      format: "esm",
      compile: { outfile, autoloadDotenv: false, autoloadBunfig: false },
    });
    return outfile;
  };
  return {
    binary,
    nothing: await compiled("nothing"),
    reference: await compiled("reference"),
    weight: await compiled("weight"),
  };
}
