/** The log under settings that change: its level, and where it goes. What cannot be opened or written is a warning. */
import { isFault, messageOf } from "../../base/fault.ts";
import type { Log } from "../../base/log.ts";
import type { LogSettings } from "../../config/schema.ts";
import type { Warnings } from "../warnings.ts";

const openWarning = "log_file";
const writeWarning = "log_written";

export class LiveLog {
  readonly #log: Log;
  readonly #warnings: Warnings;
  #wanted: LogSettings;
  /** Where it really goes: not to where the settings say when that cannot be opened. */
  #output: LogSettings;

  /** @param settings what the log was made of */
  constructor(log: Log, settings: LogSettings, warnings: Warnings) {
    this.#log = log;
    this.#warnings = warnings;
    this.#wanted = settings;
    this.#output = settings;
  }

  /** From now on as these settings say. */
  follow(settings: LogSettings): void {
    this.#log.level = settings.level;
    this.#wanted = settings;
    const { file, format } = this.#output;
    if (file !== settings.file || format !== settings.format) this.#open();
  }

  /** Opens the file again under its name, as after a rotation. */
  reopen(): void {
    const { file, format } = this.#wanted;
    if (file !== this.#output.file || format !== this.#output.format) this.#open();
    else this.#try(() => this.#log.reopen());
  }

  /** Tries again what went wrong, and says what still does. */
  look(): void {
    if (this.#warnings.has(openWarning)) this.reopen();
    if (this.#log.trouble !== null) this.#probe();
    const { trouble } = this.#log;
    if (trouble === null) this.#warnings.clear(writeWarning);
    else {
      const message = `cannot write the log ${placeOf(this.#output)}: ${trouble.why}; lines are dropped`;
      this.#warnings.raise(writeWarning, message, trouble.why === "ENOSPC" ? "df -h" : null);
    }
  }

  /** Only a line that gets through ends the warning; without this one it would last until something happens. */
  #probe(): void {
    this.#log.error("the log can be written again");
    this.#log.flush();
  }

  #open(): void {
    const wanted = this.#wanted;
    this.#try(() => {
      this.#log.setOutput(wanted.file, wanted.format);
      this.#output = wanted;
    });
  }

  #try(act: () => void): void {
    try {
      act();
      this.#warnings.clear(openWarning);
    } catch (error) {
      if (!isFault(error)) throw error;
      const message = `${messageOf(error)}; the log goes on ${placeOf(this.#output)}`;
      this.#warnings.raise(openWarning, message, "mem-agent config show");
    }
  }
}

function placeOf({ file }: LogSettings): string {
  return file === null ? "to stderr" : `into ${file}`;
}
