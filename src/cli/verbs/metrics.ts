/** `metrics`: Prometheus text from the daemon; or what reads it, which needs no daemon. */
import { exitCodes, Failure } from "../failure.ts";
import { type Invocation, isOn } from "../invocation.ts";
import { writeOut } from "../output.ts";

export async function metrics(invocation: Invocation): Promise<number> {
  const [dashboard, rules] = [isOn(invocation, "dashboard"), isOn(invocation, "rules")];
  if (dashboard && rules) throw new Failure(exitCodes.usage, ["use --dashboard or --rules, not both"]);
  writeOut(await textFor(invocation, dashboard, rules));
  return exitCodes.done;
}

async function textFor(invocation: Invocation, dashboard: boolean, rules: boolean): Promise<string> {
  if (dashboard)
    return (await import("../../api/dashboard.json", { with: { type: "text" } })).default as unknown as string;
  if (rules) return (await import("../../api/alerts.yml", { with: { type: "text" } })).default as string;
  return (await import("../ask.ts")).ask(invocation, "metrics");
}
