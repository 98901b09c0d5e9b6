/** Disk, files, folders and descriptors that run out or are taken away. */
import { machineTrials } from "./faults/machine-trials.ts";
import { faultsTest } from "./faults/suite.ts";

faultsTest("machine", { on: "6.12" }, machineTrials);
