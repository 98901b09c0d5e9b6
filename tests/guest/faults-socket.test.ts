/** Abuse of the control socket. */
import { socketTrials } from "./faults/socket-trials.ts";
import { faultsTest } from "./faults/suite.ts";

faultsTest("socket", { on: "6.12" }, socketTrials);
