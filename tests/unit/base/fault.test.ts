import { describe, expect, test } from "bun:test";
import { Fault, faultFrom, type FaultKind } from "../../../src/base/fault.ts";

describe("faultFrom", () => {
  const rows: readonly [code: string, kind: FaultKind, message: string][] = [
    ["ENOENT", "missing", "cannot open /a: ENOENT, no such file or folder"],
    ["EACCES", "denied", "cannot open /a: EACCES, permission denied; run this as root"],
    ["EBUSY", "busy", "cannot open /a: EBUSY"],
    ["ENOSPC", "io", "cannot open /a: ENOSPC, no space left; make room"],
  ];
  for (const [code, kind, message] of rows) {
    test(`${code} is ${kind}`, () => {
      const cause = Object.assign(new Error("as the engine says it"), { code });
      const fault = faultFrom(cause, "open /a");
      expect(fault).toMatchObject({ kind, message, problems: [message], cause });
    });
  }

  test("takes another kind, and the text of what has no errno", () => {
    expect(faultFrom(new Error("odd"), "open /a", "vanished")).toMatchObject({
      kind: "vanished",
      message: "cannot open /a: odd",
    });
    expect(faultFrom("odd", "open /a").message).toBe("cannot open /a: odd");
  });

  test("leaves a fault as it is", () => {
    const fault = new Fault("busy", "cannot run: one is under way; wait");
    expect(faultFrom(fault, "open /a")).toBe(fault);
  });
});
