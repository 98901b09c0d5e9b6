/** The end of the agent in each phase of its life, and a life under a memory limit, on the oldest and the newest kernel. */
import { endTrials } from "./faults/end-trials.ts";
import { limitTrials } from "./faults/machine-trials.ts";
import { faultsTest } from "./faults/suite.ts";

faultsTest("end", { kernels: ["6.1", "7.2"] }, [...endTrials, ...limitTrials]);
