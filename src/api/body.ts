/** A request's body: read under a bound, decoded, and narrowed. */
import * as v from "valibot";
import { tooLarge } from "./gate.ts";
import { Refusal } from "./refusal.ts";
import { bodyBytesMax } from "./routes.ts";

/** The body's bytes. Refusal 413 as soon as it is larger than 1 MiB, whatever its head said. */
async function readBytes(body: ReadableStream<Uint8Array> | null): Promise<Buffer> {
  if (body === null) return Buffer.alloc(0);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > bodyBytesMax) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The body as a JSON value, null where there is none. Refusal 400 for what is no JSON in UTF-8. */
export async function readJson(body: ReadableStream<Uint8Array> | null): Promise<unknown> {
  const bytes = await readBytes(body);
  if (bytes.length === 0) return null;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const value: unknown = JSON.parse(text);
    return value;
  } catch (error) {
    const why = error instanceof SyntaxError ? error.message.replace(/^JSON Parse error: /, "") : "it is not UTF-8";
    throw new Refusal(400, `cannot read the body: it is not JSON (${why}); send one JSON object`);
  }
}

const runBody = v.strictObject(
  {
    what: v.picklist(["memcg", "compact"], "must be memcg or compact"),
    dry_run: v.optional(v.boolean("must be true or false"), false),
  },
  unknownKey(["what", "dry_run"]),
);
const logLevelBody = v.strictObject({ level: v.unknown() }, unknownKey(["level"]));

/** valibot's text for a missing or unknown key, in our words. */
function unknownKey(keys: readonly string[]): (issue: v.StrictObjectIssue) => string {
  return (issue) =>
    issue.expected === "never"
      ? `unknown field; there ${keys.length === 1 ? "is" : "are"} ${keys.join(", ")}`
      : issue.expected === "Object"
        ? `must be an object with ${keys.join(", ")}`
        : "missing";
}

function narrow<Output>(schema: v.GenericSchema<unknown, Output>, value: unknown, doing: string): Output {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const problems = result.issues.slice(0, 20).map((issue) => {
    const key = v.getDotPath(issue);
    return key === null ? issue.message : `${key.slice(0, 100)}: ${issue.message}`;
  });
  throw new Refusal(422, `cannot ${doing}: ${problems[0]}`, { problems });
}

/** What a run is asked for. Refusal 422 with every problem. */
export function runBodyOf(value: unknown): { readonly what: "memcg" | "compact"; readonly dry_run: boolean } {
  return narrow(runBody, value, "run");
}

/** The level that is asked for, not yet judged. Refusal 422 with every problem. */
export function logLevelOf(value: unknown): unknown {
  return narrow(logLevelBody, value, "change the log level").level;
}
