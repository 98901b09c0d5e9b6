/** `man`: a man page, for `man -l -` or for a package. */
import type { GroupCommand } from "../command-types.ts";
import { exitCodes, Failure } from "../failure.ts";
import { type Invocation, textOf } from "../invocation.ts";
import { type ManSection, manPage, manSections } from "../man-pages.ts";
import { writeOut } from "../output.ts";

/** @param program whose commands are described */
export async function man(program: GroupCommand, invocation: Invocation): Promise<number> {
  const asked = textOf(invocation, "section") ?? "8";
  const section: ManSection | undefined = manSections.find((each) => each === asked);
  if (section === undefined) {
    throw new Failure(exitCodes.usage, [`no man page in section ${JSON.stringify(asked)}: use 8 or 5`]);
  }
  writeOut(await manPage(program, section));
  return exitCodes.done;
}
