/** What each route does with the daemon. A route without an entry here does not compile. */
import type { DaemonControl } from "../agent/control.ts";
import { givebackBodyOf, logLevelOf, pauseSecsOf, runBodyOf } from "./body.ts";
import type { MetricsText } from "./metrics.ts";
import type { AnswerOf, RouteName } from "./routes.ts";

export interface Question {
  /** The body as JSON, null where there was none; not yet judged. */
  readonly body: unknown;
  readonly save: boolean;
  readonly metrics: () => Promise<MetricsText>;
}

/** Routes that are answered with one value; the event stream is the server's own. */
export type AnsweredRoute = Exclude<RouteName, "events">;

type Answers = {
  readonly [Name in AnsweredRoute]: (
    daemon: DaemonControl,
    question: Question,
  ) => AnswerOf<Name> | Promise<AnswerOf<Name>>;
};

export const answers: Answers = {
  status: (daemon) => daemon.status(),
  memcgStatus: (daemon) => daemon.memcgStatus(),
  memcgSet: (daemon, { body, save }) => daemon.memcgSet(body, { save }),
  compactStatus: (daemon) => daemon.compactStatus(),
  compactSet: (daemon, { body, save }) => daemon.compactSet(body, { save }),
  logLevelSet: (daemon, { body, save }) => daemon.logLevelSet(logLevelOf(body), { save }),
  history: (daemon) => daemon.history(),
  configShow: (daemon) => daemon.configShow(),
  reload: (daemon) => daemon.reload(),
  run: (daemon, { body }) => {
    const { what, dry_run } = runBodyOf(body);
    return daemon.run(what, { dryRun: dry_run });
  },
  giveback: (daemon, { body }) => daemon.giveback(givebackBodyOf(body)),
  pause: (daemon, { body }) => daemon.pause(pauseSecsOf(body)),
  metrics: async (daemon, { metrics }) => {
    const text = await metrics();
    const agent = daemon.status();
    return text.of({ agent, memcg: daemon.memcgStatus(), compact: agent.compact });
  },
  health: (daemon) => ({ health: daemon.health() }),
};
