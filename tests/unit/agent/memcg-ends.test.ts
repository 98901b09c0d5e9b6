import { describe, expect, test } from "bun:test";
import type { TargetStatus } from "../../../src/agent/status.ts";
import { Fault } from "../../../src/base/fault.ts";
import type { MemcgRule } from "../../../src/config/schema.ts";
import { endReasons, type EndReason } from "../../../src/core/reason.ts";
import { MemcgKernel, pageBytes, refusal } from "./memcg-kernel.ts";
import { atFirst, Serving, type MemcgChoice } from "./memcg-serving.ts";

const cold = { anonPages: 0, filePages: 10_000 };

interface Row {
  readonly name: string;
  readonly end: EndReason;
  readonly settings?: MemcgChoice;
  readonly sizes?: { readonly anonPages: number; readonly filePages: number };
  /** Before the run in question. `ripe` says that it is the third: old enough to evict. */
  readonly before?: (serving: Serving) => void | Promise<void>;
  readonly ripe?: boolean;
  readonly check?: (target: TargetStatus, serving: Serving) => void;
}

const disabledRule: MemcgRule = { path: "/a", no_subdir: false, disabled: true };

const rows: readonly Row[] = [
  {
    name: "all that is cold is evicted",
    end: "evicted",
    check: (target, { kernel }) => {
      expect(target.evicted_bytes).toEqual({ anon_bytes: 0, file_bytes: cold.filePages * pageBytes });
      expect(kernel.usagePages("/a")).toBe(0);
    },
  },
  { name: "nothing was cold", end: "nothing_cold", sizes: { anonPages: 0, filePages: 0 } },
  {
    name: "the kernel frees nothing",
    end: "no_progress",
    before: ({ kernel }) => void (kernel.frees = 0),
    check: (target, serving) => {
      expect(target.evicted_bytes.file_bytes).toBe(0);
      expect(serving.commands("-", "/a").length).toBeLessThan(5);
    },
  },
  {
    name: "memory stalled in the waiting period",
    end: "pressure",
    before: ({ kernel }) => kernel.stall("/a", { memoryMs: 601 }),
    check: (target, serving) => {
      expect(target.skips).toBe(1);
      expect(target.pressure_source).toBe("/a");
      expect(target.pressure_percent).toBeCloseTo(1, 1);
      expect(serving.commands("-", "/a")).toEqual([]);
    },
  },
  {
    name: "io stalled in the waiting period",
    end: "pressure",
    before: ({ kernel }) => kernel.stall("/a", { ioMs: 700 }),
    check: (target) => expect(target.skips).toBe(1),
  },
  {
    name: "the cgroup stalls while it is evicted",
    end: "pressure",
    before: (serving) =>
      atFirst(serving, "-", () => {
        serving.kernel.stall("/a", { memoryMs: 6 });
        return null;
      }),
    check: (target, serving) => {
      expect(target.skips).toBe(0);
      expect(serving.commands("-", "/a")).toHaveLength(1);
      expect(target.evicted_bytes.file_bytes).toBe(1024 * pageBytes);
    },
  },
  {
    name: "swap has no room",
    end: "swap_full",
    settings: { swap: true },
    sizes: { anonPages: 5_000, filePages: 0 },
    before: ({ kernel }) => kernel.setSwapFree(256),
  },
  {
    name: "swap has room for some",
    end: "swap_full",
    settings: { swap: true },
    sizes: { anonPages: 5_000, filePages: 0 },
    before: ({ kernel }) => kernel.setSwapFree(256 + 2_000),
    check: (target) => expect(target.evicted_bytes).toEqual({ anon_bytes: 2_000 * pageBytes, file_bytes: 0 }),
  },
  {
    name: "memory.low covers the rest",
    end: "protected",
    before: ({ kernel }) => kernel.protect("/a", { low: 6_000 }),
    check: (_, { kernel }) => {
      expect(kernel.usagePages("/a")).toBeGreaterThanOrEqual(6_000);
      expect(kernel.usagePages("/a")).toBeLessThan(7_000);
    },
  },
  {
    name: "memory.min covers all",
    end: "protected",
    before: ({ kernel }) => kernel.protect("/a", { min: 10_000 }),
    check: (_, serving) => expect(serving.commands("-", "/a")).toEqual([]),
  },
  {
    name: "nothing is known of it yet",
    end: "sampled",
    settings: { refault_percent_limit: 0.2 },
    check: (target) => expect(target.evicted_bytes).toEqual({ anon_bytes: 0, file_bytes: 256 * pageBytes }),
  },
  {
    name: "what was evicted came back at once",
    end: "refaults",
    settings: { refault_percent_limit: 0.2 },
    before: async (serving) => {
      await serving.run();
      await serving.next();
      serving.kernel.touchBack("/a", 10_000);
      for (let run = 0; run < 3; run++) await serving.next();
      serving.kernel.clock.advance(60_000);
    },
    check: (target) => {
      expect(target.evictions).toBe(2);
      expect(target.refaulted_bytes).toBe(10_000 * pageBytes);
    },
  },
  {
    name: "the cgroup may not swap",
    end: "swap_full",
    settings: { swap: true },
    sizes: { anonPages: 5_000, filePages: 0 },
    before: ({ kernel }) => kernel.limitSwap("/a", 0),
    check: (_, serving) => expect(serving.commands("-", "/a")).toEqual([]),
  },
  {
    name: "another aged it meanwhile: what is oldest is not old",
    end: "not_ready",
    before: async (serving) => {
      const { kernel } = serving;
      kernel.frees = 0;
      await serving.run();
      serving.kernel.clock.advance(60_000);
      kernel.commands.length = 0;
      for (let time = 0; time < 3; time++) kernel.ageBySelf("/a");
    },
    check: (_, serving) => expect(serving.commands("-", "/a")).toEqual([]),
  },
  { name: "not aged often enough", end: "not_ready", ripe: false },
  {
    name: "removed before it is aged",
    end: "vanished",
    before: (serving) =>
      atFirst(serving, "+", () => {
        serving.kernel.remove("/a");
        return refusal();
      }),
  },
  {
    name: "removed after it was aged",
    end: "vanished",
    before: ({ kernel }) => {
      // The next command of the same write.
      const next = `+ ${kernel.id("/b")} `;
      kernel.meets = (command) => {
        if (command.startsWith(next)) kernel.remove("/a");
        return null;
      };
    },
    check: (_, serving) => expect(serving.commands("-", "/a")).toEqual([]),
  },
  {
    name: "removed before it is evicted",
    end: "vanished",
    before: (serving) =>
      atFirst(serving, "-", () => {
        serving.kernel.remove("/a");
        return refusal();
      }),
  },
  { name: "disabled by a rule", end: "disabled", settings: { cgroups: [disabledRule] } },
  {
    name: "the agent stops",
    end: "stopped",
    before: (serving) =>
      atFirst(serving, "-", () => {
        void serving.service.stop();
        return null;
      }),
    check: (_, serving) => expect(serving.commands("-", "/a")).toHaveLength(1),
  },
  {
    name: "disabled while it is evicted",
    end: "stopped",
    before: (serving) =>
      atFirst(serving, "-", () => {
        serving.apply({ cgroups: [disabledRule] });
        return null;
      }),
    check: (_, serving) => expect(serving.commands("-", "/a")).toHaveLength(1),
  },
  {
    name: "the kernel refuses for a reason of its own",
    end: "error",
    before: (serving) => atFirst(serving, "-", () => new Fault("io", "cannot command lru_gen: EIO")),
    check: (target) => expect(target.last_error).toContain("EIO"),
  },
  {
    name: "the kernel refuses again and again",
    end: "error",
    before: ({ kernel }) => void (kernel.meets = (command) => (command.startsWith("-") ? refusal() : null)),
    check: (target, serving) => {
      expect(target.last_error).toContain("EINVAL");
      expect(serving.commands("-", "/a")).toHaveLength(2);
    },
  },
];

describe("every target ends with one reason", () => {
  test.each(rows)("$name: $end", async ({ end, settings = {}, sizes = cold, before, ripe = true, check }) => {
    using kernel = new MemcgKernel();
    kernel.add("/a", sizes);
    kernel.add("/b", cold);
    kernel.setSwapFree(100_000);
    const serving = new Serving(kernel, settings);
    if (ripe) await serving.ripen();
    await before?.(serving);
    const report = await serving.run();
    const known = serving.service.status().targets.find(({ path }) => path === "/a");
    expect(report.ends[end]).toBeGreaterThan(0);
    if (end !== "vanished") expect(known?.last_end).toBe(end);
    if (known !== undefined) check?.(known, serving);
    const last = Object.values(report.ends).reduce((sum, count) => sum + count, 0);
    expect(last).toBe(report.targets);
  });

  test("each reason has a row", () => {
    // What is not reached takes many targets: see memcg-service.test.ts.
    expect(new Set([...rows.map(({ end }) => end), "unreached"])).toEqual(new Set(endReasons));
  });
});
