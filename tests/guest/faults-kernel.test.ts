/** The kernel's switches, file systems, swap and clock changed under the agent. */
import { kernelTrials } from "./faults/kernel-trials.ts";
import { faultsTest } from "./faults/suite.ts";

faultsTest("kernel", { on: "6.1" }, kernelTrials);
