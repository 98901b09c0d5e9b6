/** Two minutes of the soak in each run of all tests; by hand it goes on for as long as one likes. */
import { expect } from "bun:test";
import { agentFiles, firstKernel } from "./harness/agent.ts";
import { guestTest } from "./harness/guest-test.ts";
import { soak, soakGuest } from "./soak.ts";

const minutes = 2;

guestTest(
  `${minutes} minutes of everything at once leak nothing, and all counters add up`,
  { ...soakGuest, kernels: firstKernel, timeoutMs: 600_000 },
  async (guest) => {
    const { table, problems } = await soak(guest, minutes);
    console.log(table);
    expect(problems).toEqual([]);
  },
  agentFiles,
);
