import { describe, expect, test } from "bun:test";
import { standingText } from "../../../src/api/run-daemon.ts";
import { memcgStatus } from "./fake-control.ts";

const memcg = memcgStatus();

describe("the service manager's status line", () => {
  const wallMs = new Date(2026, 0, 2, 14, 0, 0).getTime();
  const rows: readonly [Partial<typeof memcg>, string][] = [
    [{ next_eviction_secs: 130 }, "saved 62.0 MiB, next eviction about 14:02:10"],
    [{ next_eviction_secs: null }, "saved 62.0 MiB, nothing to evict yet"],
    [{ dry_run: true, next_eviction_secs: 130 }, "dry run, next eviction about 14:02:10"],
    [{ disabled: true }, "eviction is disabled"],
  ];
  for (const [changes, text] of rows)
    test(text, () => expect(standingText({ ...memcg, ...changes }, wallMs)).toBe(text));
});
