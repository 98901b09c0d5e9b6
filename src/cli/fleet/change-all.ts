/** A change of settings for several daemons: each is asked by itself, and what each answered is said. */
import type { ChangeAnswer } from "../../agent/control.ts";
import type { CallOptions } from "../../api/client.ts";
import { escapeControls } from "../../base/log-line.ts";
import { askAt } from "../ask.ts";
import { type Invocation, isOn } from "../invocation.ts";
import { writeJson, writeLines } from "../output.ts";
import { changeLines } from "../screens/setting-text.ts";
import { gather, worstExit } from "./gather.ts";
import { fleetGuests } from "./guests.ts";

export async function changeAll<Name extends "memcgSet" | "compactSet" | "logLevelSet" | "reload">(
  invocation: Invocation,
  words: readonly string[],
  name: Name,
  options: Pick<CallOptions<Name>, "body" | "save">,
): Promise<number> {
  const guests = fleetGuests(words, null);
  const gathered = await gather(guests, async ({ address }) => (await askAt(address, name, options)) as ChangeAnswer);
  if (isOn(invocation, "json")) {
    writeJson(gathered.map(({ guest, answer, error }) => ({ address: guest.address, error, answer })));
  } else {
    writeLines(
      gathered.flatMap(({ guest, answer, error }) =>
        (answer === null ? [escapeControls(error ?? "")] : changeLines(answer)).map(
          (line) => `${escapeControls(guest.address)}: ${line}`,
        ),
      ),
    );
  }
  return worstExit(gathered);
}
