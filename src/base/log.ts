/**
 * The log: levels that change at run time, one line an event, nothing said twice in a row without a count.
 *
 * consola decides what is heard; formatting and writing are ours, since consola's own reporters cost a megabyte and
 * write through streams.
 */
import { createConsola, type ConsolaInstance, type ConsolaOptions, type LogObject } from "consola/core";
import type { Clock } from "./clock.ts";
import {
  logLevels,
  logLine,
  type LineStyle,
  type LogEntry,
  type LogFields,
  type LogFormat,
  type LogLevel,
} from "./log-line.ts";
import { DescriptorOutput, FileOutput, type LogOutput, type LogTrouble } from "./log-output.ts";

/** What everything that has something to say is given. */
export interface Logger {
  trace(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  critical(message: string, fields?: LogFields): void;
}

/** Says nothing: the library's default. */
export const quietLog: Logger = {
  trace() {},
  debug() {},
  info() {},
  warn() {},
  error() {},
  critical() {},
};

/** A line that keeps coming is written with its count at least this often. */
const repeatSilenceMs = 600_000;

/** consola takes a number for the level: what is at or below it is heard. */
function loudness(level: LogLevel): number {
  return logLevels.length - 1 - logLevels.indexOf(level);
}

/** Our levels in place of consola's own types. */
const consolaTypes = Object.fromEntries(
  logLevels.map((level) => [level, { level: loudness(level) }]),
) as unknown as ConsolaOptions["types"];

type Consola = ConsolaInstance & Readonly<Record<LogLevel, (message: string, fields: LogFields) => void>>;

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** File that is appended to; null for `descriptor`. */
  readonly file: string | null;
  /** Descriptor that is written to without a file: 2, standard error. */
  readonly descriptor: number;
  /** Whether `descriptor` leads to journald (JOURNAL_STREAM is set): lines then carry their priority. */
  readonly journal: boolean;
  readonly clock: Clock;
}

interface Heard {
  readonly entry: LogEntry;
  /** The line without its time, by which it is known again. */
  readonly sameAs: string;
  readonly writtenMs: number;
  repeats: number;
}

export class Log implements Logger {
  readonly #options: LogOptions;
  readonly #consola: Consola;
  #level: LogLevel;
  #style: LineStyle;
  #output: LogOutput;
  #last: Heard | null = null;

  /** Fault when the file cannot be opened. */
  constructor(options: LogOptions) {
    this.#options = options;
    this.#level = options.level;
    this.#style = { format: options.format, journal: options.journal && options.file === null };
    this.#output = this.#open(options.file);
    this.#consola = createConsola({
      level: loudness(options.level),
      types: consolaTypes,
      // consola's own folding keeps a timer and the first five; ours keeps neither.
      throttle: 0,
      reporters: [{ log: (said) => this.#hear(said) }],
    }) as Consola;
  }

  trace(message: string, fields: LogFields = {}): void {
    this.#consola.trace(message, fields);
  }
  debug(message: string, fields: LogFields = {}): void {
    this.#consola.debug(message, fields);
  }
  info(message: string, fields: LogFields = {}): void {
    this.#consola.info(message, fields);
  }
  warn(message: string, fields: LogFields = {}): void {
    this.#consola.warn(message, fields);
  }
  error(message: string, fields: LogFields = {}): void {
    this.#consola.error(message, fields);
  }
  critical(message: string, fields: LogFields = {}): void {
    this.#consola.critical(message, fields);
  }

  get level(): LogLevel {
    return this.#level;
  }
  set level(level: LogLevel) {
    this.#level = level;
    this.#consola.level = loudness(level);
  }

  /** True when `level` is heard: a caller may save itself the work of making a costly line. */
  hears(level: LogLevel): boolean {
    return loudness(level) <= loudness(this.#level);
  }

  /** Why lines are being dropped right now (a full disk), or null. */
  get trouble(): LogTrouble | null {
    return this.#output.trouble;
  }

  /** Sends what follows to `file`, or with null to the descriptor. Fault when it cannot be opened; nothing changes then. */
  setOutput(file: string | null, format: LogFormat): void {
    const fresh = this.#open(file);
    this.flush();
    this.#output.close();
    this.#output = fresh;
    this.#style = { format, journal: this.#options.journal && file === null };
  }

  /** Opens the log file again under its name, for log rotation. Fault when it cannot be; the old file stays in use. */
  reopen(): void {
    this.flush();
    this.#output.reopen();
  }

  /** Writes the count that the last line still owes. */
  flush(): void {
    const last = this.#last;
    if (last === null || last.repeats === 0) return;
    this.#write(last.entry, last.repeats);
    last.repeats = 0;
  }

  close(): void {
    this.flush();
    this.#output.close();
  }

  #open(file: string | null): LogOutput {
    const lossLine = (trouble: LogTrouble): string =>
      logLine(
        { level: "warn", message: "log lines were dropped", fields: { dropped: trouble.dropped, why: trouble.why } },
        this.#options.clock.wallMs(),
        this.#style,
      );
    return file === null ? new DescriptorOutput(this.#options.descriptor, lossLine) : new FileOutput(file, lossLine);
  }

  #hear(said: LogObject): void {
    const [message, fields] = said.args as [string, LogFields];
    const entry: LogEntry = { level: said.type as string as LogLevel, message, fields };
    const sameAs = logLine(entry, 0, this.#style);
    const nowMs = this.#options.clock.monotonicMs();
    const last = this.#last;
    if (last !== null && last.sameAs === sameAs && nowMs - last.writtenMs < repeatSilenceMs) {
      last.repeats += 1;
      return;
    }
    if (last?.sameAs === sameAs) this.#write(entry, last.repeats + 1);
    else {
      this.flush();
      this.#write(entry, 0);
    }
    this.#last = { entry, sameAs, writtenMs: nowMs, repeats: 0 };
  }

  #write(entry: LogEntry, repeats: number): void {
    this.#output.write(logLine(entry, this.#options.clock.wallMs(), this.#style, repeats));
  }
}
