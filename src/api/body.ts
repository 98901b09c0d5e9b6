/** A request's body: read under a bound, decoded, and narrowed. */
import { pauseSecsMax } from "../agent/control.ts";
import * as v from "valibot";
import type { GivebackRequest } from "../agent/giveback.ts";
import { parseLogLevel } from "../config/change.ts";
import { tooLarge } from "./gate.ts";
import { Refusal } from "./refusal.ts";
import { bodyBytesMax } from "./routes.ts";

/** So much of a body that is too large is read and thrown away: a client that is cut off may never read the answer. */
const discardedBytesMax = 16 * bodyBytesMax;

/** The body's bytes, or null when they are more than 1 MiB, whatever the request's head said. */
async function readBytes(body: ReadableStream<Uint8Array> | null): Promise<Buffer | null> {
  if (body === null) return Buffer.alloc(0);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > discardedBytesMax) break;
    if (bytes <= bodyBytesMax) chunks.push(chunk);
    else chunks.length = 0;
  }
  return bytes > bodyBytesMax ? null : Buffer.concat(chunks);
}

/** The body as a JSON value, null where there is none. Refusal 413 when it is too large, 400 for what is no JSON in UTF-8. */
export async function readJson(body: ReadableStream<Uint8Array> | null): Promise<unknown> {
  const bytes = await readBytes(body).catch(() => {
    // The client left in the middle, so nobody reads this; it only keeps its failure from passing for ours.
    throw new Refusal(400, "cannot read the body: it ended early; send as many bytes as Content-Length says");
  });
  if (bytes === null) throw tooLarge();
  if (bytes.length === 0) return null;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const value: unknown = JSON.parse(text);
    return value;
  } catch (error) {
    throw new Refusal(400, `cannot read the body: it is not JSON (${whyNotJson(error)}); send one JSON object`);
  }
}

function whyNotJson(error: unknown): string {
  if (error instanceof SyntaxError) return error.message.replace(/^JSON Parse error: /, "");
  return error instanceof RangeError ? "it is nested too deeply" : "it is not UTF-8";
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A schema for an object of these keys, with texts in our words. */
function objectOf<Entries extends v.ObjectEntries>(entries: Entries) {
  const keys = Object.keys(entries);
  const shape = v.strictObject(entries, (issue) =>
    issue.expected === "never"
      ? `unknown field; there ${keys.length === 1 ? "is" : "are"} ${keys.join(", ")}`
      : "missing",
  );
  return v.pipe(v.custom<unknown>(isObject, `must be an object with ${keys.join(", ")}`), shape);
}

const runBody = objectOf({
  what: v.picklist(["memcg", "compact"], "must be memcg or compact"),
  dry_run: v.optional(v.boolean("must be true or false"), false),
});
const logLevelBody = objectOf({
  level: v.pipe(
    v.unknown(),
    v.rawCheck(({ dataset, addIssue }) => {
      for (const { message, allowed } of parseLogLevel(dataset.value).problems) {
        addIssue({ message: `${message}; allowed: ${allowed}` });
      }
    }),
  ),
});

/** A number within bounds, or left out. */
function numberFrom(min: number, max: number) {
  const text = `must be a number from ${min} to ${max}`;
  return v.pipe(v.number(text), v.minValue(min, text), v.maxValue(max, text));
}

function flag() {
  return v.exactOptional(v.boolean("must be true or false"));
}

/** An hour: with more time than that nobody needs a deadline. */
const givebackSecsMax = 3600;
const givebackSecsMin = 0.1;

const givebackBody = objectOf({
  within_secs: v.exactOptional(numberFrom(givebackSecsMin, givebackSecsMax)),
  target_bytes: v.exactOptional(v.nullable(numberFrom(1, Number.MAX_SAFE_INTEGER))),
  min_age_secs: v.exactOptional(numberFrom(0, Number.MAX_SAFE_INTEGER)),
  slab: flag(),
  compact: flag(),
  ignore_pressure: flag(),
});

const pauseBody = objectOf({ secs: numberFrom(0, pauseSecsMax) });

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

/** What is to be given back; nothing said is all there is. Refusal 422 with every problem. */
export function givebackBodyOf(value: unknown): GivebackRequest {
  return value === null ? {} : narrow(givebackBody, value, "give back");
}

/** How long nothing is to run by itself. Refusal 422 with every problem. */
export function pauseSecsOf(value: unknown): number {
  return narrow(pauseBody, value, "pause").secs;
}

/** The level that is asked for. Refusal 422 with every problem. */
export function logLevelOf(value: unknown): unknown {
  return narrow(logLevelBody, value, "change the log level").level;
}
