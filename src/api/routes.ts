/**
 * Every route of the control socket, declared once. The server, the client, the reference and the tests derive from
 * this table. It names types only, so that a control command loads nothing but text.
 */
import type { TimedEvent } from "../agent/events.ts";
import type { ChangeAnswer, PauseAnswer } from "../agent/control.ts";
import type { SettingInForce } from "../config/in-force.ts";
import type {
  AgentStatus,
  CompactStatus,
  GivebackReport,
  HistoryStatus,
  MemcgStatus,
  RunReport,
} from "../agent/status.ts";
import type { GivebackRequest } from "../agent/giveback.ts";

export type Method = "GET" | "PATCH" | "PUT" | "POST";

/** `json`: one object. `lines`: one object a line for as long as the client stays. `text`: Prometheus text. */
export type AnswerForm = "json" | "lines" | "text";

export interface Route<Body, Answer> {
  readonly method: Method;
  readonly path: string;
  /** What it does, in one line. */
  readonly text: string;
  /** What the body says, for the reference; null where none is taken. */
  readonly body: string | null;
  readonly answer: string;
  readonly form: AnswerForm;
  /** Takes `?save=true`: the change is also written into the configuration file. */
  readonly save: boolean;
  /** Answers whatever the Host header names, so that a plain proxy can offer it to a scraper. */
  readonly anyHost: boolean;
  /** Never set; carries the types of body and answer to `call`. */
  readonly types?: (body: Body) => Answer;
}

export interface HealthAnswer {
  readonly health: AgentStatus["health"];
}

export interface RunBody {
  readonly what: "memcg" | "compact";
  readonly dry_run?: boolean;
}

export interface PauseBody {
  readonly secs: number;
}

export interface LogLevelBody {
  readonly level: string;
}

/** Lines of the event stream: events, and how many were left out because the reader was slow. */
export type EventLine = TimedEvent | { readonly time: string; readonly event: "lost"; readonly count: number };

/** What every refused or failed request is answered with. */
export interface ErrorAnswer {
  readonly error: string;
  readonly problems: readonly string[];
}

/** The daemon's version, in every answer. */
export const versionHeader = "Mem-Agent-Version";
export const bodyBytesMax = 1024 * 1024;

type Declared = Pick<Route<null, unknown>, "method" | "path" | "text" | "answer"> &
  Partial<Pick<Route<null, unknown>, "body" | "form" | "save" | "anyHost">>;

function route<Body, Answer>(declared: Declared): Route<Body, Answer> {
  return { body: null, form: "json", save: false, anyHost: false, ...declared };
}

const changeAnswer = "`changes`: each key that changed, with what it was and is; `saved`: the file, or null";

export const routes = {
  status: route<null, AgentStatus>({
    method: "GET",
    path: "/v1/status",
    text: "health, totals, what is due next, warnings, own cost",
    answer: "as `mem-agent status --json`",
  }),
  memcgStatus: route<null, MemcgStatus>({
    method: "GET",
    path: "/v1/memcg",
    text: "every cgroup and node, with its generations and counts",
    answer: "as `mem-agent memcgstatus --json`",
  }),
  memcgSet: route<unknown, ChangeAnswer>({
    method: "PATCH",
    path: "/v1/memcg",
    text: "change memcg settings, all of them or none",
    body: "keys of `[memcg]`; rules under `add`, `set`, `del`",
    answer: changeAnswer,
    save: true,
  }),
  compactStatus: route<null, CompactStatus>({
    method: "GET",
    path: "/v1/compact",
    text: "free memory by block size, decisions and runs",
    answer: "as `mem-agent compactstatus --json`",
  }),
  compactSet: route<unknown, ChangeAnswer>({
    method: "PATCH",
    path: "/v1/compact",
    text: "change compact settings, all of them or none",
    body: "keys of `[compact]`",
    answer: changeAnswer,
    save: true,
  }),
  logLevelSet: route<LogLevelBody, ChangeAnswer>({
    method: "PUT",
    path: "/v1/log-level",
    text: "change how much is logged",
    body: '`{"level": "debug"}`',
    answer: changeAnswer,
    save: true,
  }),
  history: route<null, HistoryStatus>({
    method: "GET",
    path: "/v1/history",
    text: "what the runs of the last 24 hours did, minute by minute",
    answer: "as `mem-agent history --json`",
  }),
  configShow: route<null, readonly SettingInForce[]>({
    method: "GET",
    path: "/v1/config",
    text: "the settings in force, each with its origin",
    answer: "a list of `key`, `rule`, `value`, `origin`",
  }),
  reload: route<null, ChangeAnswer>({
    method: "POST",
    path: "/v1/reload",
    text: "read the configuration file again",
    answer: changeAnswer,
  }),
  run: route<RunBody, RunReport>({
    method: "POST",
    path: "/v1/run",
    text: "run a period now, and answer when it is over",
    body: '`{"what": "memcg", "dry_run": false}` or `{"what": "compact"}`',
    answer: "what the run did",
  }),
  giveback: route<GivebackRequest, GivebackReport>({
    method: "POST",
    path: "/v1/giveback",
    text: "give back as much as possible by a deadline, before a snapshot or a pause",
    body: '`{"within_secs": 2, "target_bytes": null, "min_age_secs": 0, "slab": false, "compact": true, "ignore_pressure": false}`, each of them or none',
    answer: "as `mem-agent giveback --json`",
  }),
  pause: route<PauseBody, PauseAnswer>({
    method: "POST",
    path: "/v1/pause",
    text: "let nothing run by itself for a while, at most a week; 0 ends it",
    body: '`{"secs": 7200}`',
    answer: "`paused_until`: a time, or null",
  }),
  events: route<null, EventLine>({
    method: "GET",
    path: "/v1/events",
    text: "what happens, as it happens",
    answer: "one object a line; an empty line every 5 s is a sign of life",
    form: "lines",
  }),
  metrics: route<null, string>({
    method: "GET",
    path: "/metrics",
    text: "metrics for Prometheus",
    answer: "Prometheus text",
    form: "text",
    anyHost: true,
  }),
  health: route<null, HealthAnswer>({
    method: "GET",
    path: "/healthz",
    text: "whether the daemon answers, and whether it is well",
    answer: '`{"health": "ok" or "warning"}`',
    anyHost: true,
  }),
} as const;

export type RouteName = keyof typeof routes;
export type BodyOf<Name extends RouteName> = (typeof routes)[Name] extends Route<infer Body, unknown> ? Body : never;
export type AnswerOf<Name extends RouteName> =
  (typeof routes)[Name] extends Route<never, infer Answer> ? Answer : never;

export const routeNames = Object.keys(routes) as readonly RouteName[];

/** Every path once, in the order of the table. */
export const routePaths: readonly string[] = [...new Set(routeNames.map((name) => routes[name].path))];

/** The table of the reference, in Markdown. */
export function routesTable(): string {
  const rows = routeNames.map((name) => {
    const { method, path, save, text, body, answer } = routes[name];
    return `| \`${method} ${path}\`${save ? " `?save=true`" : ""} | ${text} | ${body ?? ""} | ${answer} |`;
  });
  return ["| request | does | body | answer |", "|---|---|---|---|", ...rows, ""].join("\n");
}
