/** The end of the agent in each phase of its life, and a life under a memory limit, on each kernel. */
import { endTrials } from "./faults/end-trials.ts";
import { limitTrials } from "./faults/machine-trials.ts";
import { faultsTest } from "./faults/suite.ts";

faultsTest("end", {}, [...endTrials, ...limitTrials]);
