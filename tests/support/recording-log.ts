/** A log for tests: it keeps what is said. */
import type { Logger } from "../../src/base/log.ts";
import type { LogEntry, LogFields, LogLevel } from "../../src/base/log-line.ts";

export interface RecordingLog extends Logger {
  readonly entries: readonly LogEntry[];
}

export function recordingLog(): RecordingLog {
  const entries: LogEntry[] = [];
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}): void =>
      void entries.push({ level, message, fields });
  return {
    trace: at("trace"),
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    critical: at("critical"),
    entries,
  };
}
