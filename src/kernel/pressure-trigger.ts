/**
 * PSI triggers: the kernel says when a cgroup or the system stalls too much.
 * Linux 5.2, Documentation/accounting/psi.rst "Monitoring for pressure thresholds".
 *
 * Open the pressure file O_RDWR|O_NONBLOCK, write `some STALL_US WINDOW_US`, then poll() for POLLPRI. One trigger a
 * descriptor; closing it removes the trigger. The kernel looks every window/10 and tells at most once a window.
 * Seen: 6.1 refuses windows under 500 ms, 6.12 and 7.2 take 100 ms. Without CAP_SYS_RESOURCE only multiples of 2 s.
 * Each armed group runs a kernel thread: arm only while a run is on.
 */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { errnoOf, Fault } from "../base/fault.ts";
import { pollError, pollHangUp, pollInvalid, pollNow, pollPriority } from "../system/libc.ts";
import { displayPath, type FsPath } from "../system/path-name.ts";
import { readOpenSomeTotalUs } from "./pressure.ts";
import { fileFault, type Absence } from "../system/pseudo-file.ts";

/** Windows to try, shortest first: the shorter, the sooner we stop. */
const windowsMs: readonly number[] = [100, 500, 1000, 2000];

/** `fired`: the threshold was passed. `gone`: the cgroup was removed; close the trigger. */
export type TriggerNews = "fired" | "gone";

export interface TriggerEvent {
  readonly trigger: PressureTrigger;
  readonly news: TriggerNews;
}

const nothing: readonly TriggerEvent[] = [];

/** One armed trigger, for as long as it is not disposed of. */
export class PressureTrigger implements Disposable {
  readonly file: FsPath;
  /** The window that the kernel accepted; hand it on as the shortest to try for the next trigger. */
  readonly windowMs: number;
  #fd: number | null;

  /**
   * Arms `some` on a pressure file: it fires when more than `stallPercent` (over 0, at most 100) of a window was
   * stalled. `windowMs` is the shortest window to try; longer ones follow where the kernel refuses it.
   * Faults: `missing` or `vanished` as asked, `denied`, `unsupported` (PSI is off, or no window is accepted), `io`.
   */
  static open(file: FsPath, stallPercent: number, windowMs = 100, absence: Absence = "missing"): PressureTrigger {
    let fd: number | null = null;
    try {
      fd = openSync(file, constants.O_RDWR | constants.O_NONBLOCK);
      return new PressureTrigger(file, fd, arm(fd, stallPercent, windowMs));
    } catch (error) {
      if (fd !== null) closeSync(fd);
      throw fileFault(error, "arm a pressure trigger on", file, absence);
    }
  }

  private constructor(file: FsPath, fd: number, windowMs: number) {
    this.file = file;
    this.#fd = fd;
    this.windowMs = windowMs;
  }

  /** Looks at all triggers with one poll() that does not wait. What fired is reported once. Fault `io`. */
  static pollAll(triggers: readonly PressureTrigger[]): readonly TriggerEvent[] {
    if (triggers.length === 0) return nothing;
    if (triggers.length > poll.capacity) poll = pollBuffer(triggers.length * 2);
    for (let index = 0; index < triggers.length; index++) {
      const trigger = triggers[index];
      // poll() passes over negative descriptors: that is what a closed trigger leaves.
      poll.fds[index * 2] = trigger === undefined ? -1 : (trigger.#fd ?? -1);
      poll.events[index * 4 + 2] = pollPriority;
      poll.events[index * 4 + 3] = 0;
    }
    if (pollNow(poll.fds, triggers.length) === 0) return nothing;
    return collect(triggers);
  }

  /**
   * Microseconds of `some` stall since boot, from the descriptor that is open anyway. Faults: `vanished` (the cgroup was
   * removed), `malformed`, `io` (also when the trigger was disposed of).
   */
  readTotalUs(): number {
    if (this.#fd === null) throw new Fault("io", `cannot read the ${this.toString()}: it was closed; arm another`);
    return readOpenSomeTotalUs(this.#fd, this.file, "vanished");
  }

  [Symbol.dispose](): void {
    if (this.#fd === null) return;
    closeSync(this.#fd);
    this.#fd = null;
  }

  toString(): string {
    return `trigger on ${displayPath(this.file)}`;
  }
}

/** struct pollfd seen twice: descriptors as every second i32, events and revents as i16 2 and 3 of each four. */
interface PollBuffer {
  readonly capacity: number;
  readonly fds: Int32Array;
  readonly events: Int16Array;
}

function pollBuffer(capacity: number): PollBuffer {
  const memory = new ArrayBuffer(capacity * 8);
  return { capacity, fds: new Int32Array(memory), events: new Int16Array(memory) };
}

let poll = pollBuffer(16);

function collect(triggers: readonly PressureTrigger[]): TriggerEvent[] {
  const events: TriggerEvent[] = [];
  for (const [index, trigger] of triggers.entries()) {
    const returned = poll.events[index * 4 + 3] ?? 0;
    if ((returned & (pollError | pollHangUp | pollInvalid)) !== 0) events.push({ trigger, news: "gone" });
    else if ((returned & pollPriority) !== 0) events.push({ trigger, news: "fired" });
  }
  return events;
}

/** Writes the trigger with the first window that is accepted, and returns that window. */
function arm(fd: number, stallPercent: number, shortestMs: number): number {
  const candidates = [shortestMs, ...windowsMs.filter((windowMs) => windowMs > shortestMs)];
  let refusal: unknown = null;
  for (const windowMs of candidates) {
    const windowUs = windowMs * 1000;
    const stallUs = Math.min(Math.max(Math.round((windowUs * stallPercent) / 100), 1), windowUs);
    try {
      // The kernel overwrites the last byte: it must be one that is not needed.
      writeSync(fd, `some ${stallUs} ${windowUs}\n`);
      return windowMs;
    } catch (error) {
      if (errnoOf(error) !== "EINVAL") throw error;
      refusal = error;
    }
  }
  throw refusal;
}
