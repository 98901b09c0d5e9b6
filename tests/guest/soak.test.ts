/** Two minutes of the soak in each run of all tests, a quarter of an hour for a release; by hand as long as one likes. */
import { expect } from "bun:test";
import { agentFiles } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import { allKernelsVariable } from "./harness/kernels.ts";
import { soak, soakGuest } from "./soak.ts";

const minutes = process.env[allKernelsVariable] === "1" ? 15 : 2;

guestTest(
  `${minutes} minutes of everything at once leak nothing, and all counters add up`,
  { ...soakGuest, on: "7.2", timeoutMs: (minutes + 8) * 60_000 },
  async (guest) => {
    const { table, problems } = await soak(guest, minutes);
    console.log(table);
    expect(problems).toEqual([]);
  },
  agentFiles,
);
