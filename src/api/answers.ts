/** What each route does with the daemon. A route without an entry here does not compile. */
import type { DaemonFace } from "../agent/face.ts";
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
  readonly [Name in AnsweredRoute]: (face: DaemonFace, question: Question) => AnswerOf<Name> | Promise<AnswerOf<Name>>;
};

export const answers: Answers = {
  status: (face) => face.status(),
  memcgStatus: (face) => face.memcgStatus(),
  memcgSet: (face, { body, save }) => face.memcgSet(body, { save }),
  compactStatus: (face) => face.compactStatus(),
  compactSet: (face, { body, save }) => face.compactSet(body, { save }),
  logLevelSet: (face, { body, save }) => face.logLevelSet(logLevelOf(body), { save }),
  history: (face) => face.history(),
  configShow: (face) => face.configShow(),
  reload: (face) => face.reload(),
  run: (face, { body }) => {
    const { what, dry_run } = runBodyOf(body);
    return face.run(what, { dryRun: dry_run });
  },
  giveback: (face, { body }) => face.giveback(givebackBodyOf(body)),
  pause: (face, { body }) => face.pause(pauseSecsOf(body)),
  metrics: async (face, { metrics }) => {
    const text = await metrics();
    const agent = face.status();
    return text.of({ agent, memcg: face.memcgStatus(), compact: agent.compact });
  },
  health: (face) => ({ health: face.health() }),
};
