/** Why a command did not do what it was called for, and the exit code that says so to scripts. */

export const exitCodes = { done: 0, failed: 1, usage: 2, noDaemon: 3, refused: 4 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export class Failure extends Error {
  readonly exitCode: ExitCode;
  /** Printed on stderr, one problem a line. */
  readonly lines: readonly string[];
  /** How to fix it, printed after that. */
  readonly help: readonly string[];

  constructor(exitCode: ExitCode, lines: readonly string[], help: readonly string[] = []) {
    super(lines[0] ?? "failed");
    this.name = "Failure";
    this.exitCode = exitCode;
    this.lines = lines;
    this.help = help;
  }
}
