/** Cgroups that do what the agent does not expect. */
import { cgroupTrials } from "./faults/cgroup-trials.ts";
import { faultsTest } from "./faults/suite.ts";

faultsTest("cgroup", { on: "7.2" }, cgroupTrials);
