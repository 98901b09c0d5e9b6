/**
 * The command table: every verb with its description and arguments. Help, completions and the strict reading of
 * arguments derive from it. What a verb does is loaded when it is called.
 */
import { defineCommand, type ArgsDef } from "citty";
import type { Command, GroupCommand, LeafCommand } from "./command-types.ts";
import type { Invocation } from "./invocation.ts";
import { version } from "./version.ts";

/** The exit code of a command that ran. */
type Verb = (invocation: Invocation) => number | Promise<number>;

const addr = {
  addr: {
    type: "string",
    valueHint: "ADDRESS",
    description:
      "the daemon's socket, unix:///path or a path; or a guest's, vsock://CID:PORT or hvsock:///path:PORT; else MEM_AGENT_ADDR, else unix:///run/mem-agent.sock",
  },
} as const satisfies ArgsDef;

const addrs = {
  addr: { ...addr.addr, valueHint: "ADDRESS…", description: `${addr.addr.description}; several act on all of them` },
} as const satisfies ArgsDef;

const json = { json: { type: "boolean", description: "print JSON" } } as const satisfies ArgsDef;

const save = {
  save: { type: "boolean", description: "also write the change into the daemon's configuration file" },
} as const satisfies ArgsDef;

function verb(
  name: string,
  description: string,
  args: ArgsDef,
  load: () => Promise<Verb>,
  { settingFlags = null, words = null }: Partial<Pick<LeafCommand, "settingFlags" | "words">> = {},
): LeafCommand {
  const run: LeafCommand["run"] = async (context) => (await load())(context.data as Invocation);
  return { ...defineCommand({ meta: { name, description }, args, run }), settingFlags, words } as LeafCommand;
}

function group(
  name: string,
  description: string,
  commands: readonly Command[],
  implied: string | null = null,
): GroupCommand {
  const subCommands = Object.fromEntries(commands.map((command) => [command.meta.name, command]));
  return { ...defineCommand({ meta: { name, description }, subCommands }), implied } as GroupCommand;
}

const serve = verb(
  "serve",
  "run the daemon in the foreground",
  {
    config: {
      type: "string",
      valueHint: "FILE",
      description: "the configuration file, watched and reloaded; default /etc/mem-agent.toml if it is there",
    },
    "dry-run": { type: "boolean", description: "age and decide everything, evict nothing" },
  },
  async () => (await import("./verbs/serve.ts")).serve,
  { settingFlags: "serve" },
);

const run = group("run", "run a period now and say what it did", [
  verb(
    "memcg",
    "age the memory cgroups and evict what is cold",
    { "dry-run": { type: "boolean", description: "evict nothing, say what would be evicted" }, ...json, ...addr },
    async () => (await import("./verbs/run.ts")).runMemcg,
  ),
  verb("compact", "compact free memory", { ...json, ...addr }, async () => (await import("./verbs/run.ts")).runCompact),
]);

const config = group("config", "show and check settings", [
  verb(
    "show",
    "the settings in force, each with where it comes from",
    { ...json, ...addr },
    async () => (await import("./verbs/config-show.ts")).configShow,
  ),
  verb(
    "check",
    "validate a configuration file, without a daemon",
    {
      file: {
        type: "positional",
        description: "the file, or - for standard input; default /etc/mem-agent.toml",
        default: "/etc/mem-agent.toml",
      },
      ...json,
    },
    async () => (await import("./verbs/config-file.ts")).configCheck,
  ),
  verb(
    "diff",
    "where the settings in force are not what the file says",
    {
      file: { type: "positional", description: "the file, or - for standard input; default the daemon's own" },
      ...json,
      ...addr,
    },
    async () => (await import("./verbs/config-file.ts")).configDiff,
  ),
  verb(
    "default",
    "print a commented sample file",
    {},
    async () => (await import("./verbs/config-file.ts")).configDefault,
  ),
  verb(
    "schema",
    "print the JSON Schema of the file",
    {},
    async () => (await import("./verbs/config-file.ts")).configSchema,
  ),
]);

const helpVerb = verb(
  "help",
  "a page of the manual, or what a command does; alone it lists both",
  {
    topic: { type: "positional", description: "a topic of the manual, or a command" },
    command: { type: "positional", description: "the second word of a command, as in help config check" },
  },
  async () => {
    const { help } = await import("./verbs/help.ts");
    return (invocation) => help(program, invocation);
  },
);

const manVerb = verb(
  "man",
  "print the manual as a man page: mem-agent man | man -l -",
  {
    section: { type: "positional", description: "8 for mem-agent(8), the default, or 5 for mem-agent.toml(5)" },
  },
  async () => {
    const { man } = await import("./verbs/man.ts");
    return (invocation) => man(program, invocation);
  },
);

const givebackArgs = {
  within: { type: "string", valueHint: "TIME", default: "2s", description: "how long it may take: 500ms, 2s, 1m" },
  target: { type: "string", valueHint: "SIZE", description: "free at most this much: 512M, 1G; default: all there is" },
  "min-age": {
    type: "string",
    valueHint: "TIME",
    default: "0",
    description: "only memory that nobody has touched for this long: 30s, 10m",
  },
  slab: {
    type: "boolean",
    description:
      "also drop reclaimable slab (drop_caches 2), before all else; it cannot be interrupted, so it is skipped where half of the time may not be enough",
  },
  "no-compact": { type: "boolean", description: "do not use the remaining time to compact" },
  "ignore-pressure": { type: "boolean", description: "go on even if work stalls" },
} as const satisfies ArgsDef;

const guests = {
  address: {
    type: "positional",
    valueHint: "ADDRESS…",
    description: "guests: vsock://CID:PORT, hvsock:///path:PORT; in a path * stands for any name",
  },
  from: { type: "string", valueHint: "FILE", description: "a file with an address on each line, and a name behind it" },
  timeout: { type: "string", valueHint: "TIME", default: "3s", description: "how long each guest may take to answer" },
} as const satisfies ArgsDef;

const fleet = group(
  "fleet",
  "many guests at once, from their host; without a second word: status",
  [
    verb(
      "status",
      "a row for each guest: what the host pays, what was given back, what is cold; and the sum",
      {
        ...guests,
        sort: {
          type: "enum",
          options: ["name", "host", "saved", "back", "cold", "free", "reportable", "pressure"],
          default: "name",
          description: "by name, or largest first",
        },
        watch: { type: "boolean", description: "keep it live; Ctrl-C ends it" },
        metrics: {
          type: "boolean",
          description: "print the metrics of all guests as one Prometheus text, label guest",
        },
        ...json,
      },
      async () => (await import("./verbs/fleet.ts")).fleet,
    ),
    verb(
      "giveback",
      "have each guest give back as much as possible by a deadline",
      { ...guests, ...givebackArgs, ...json },
      async () => (await import("./verbs/fleet.ts")).fleetGiveback,
    ),
  ],
  "status",
);

const commands: readonly Command[] = [
  serve,
  verb(
    "status",
    "health, what was given back, what is due next",
    {
      watch: {
        type: "boolean",
        description: "keep it live, with charts of the last 24 hours; q ends it, ? lists the keys",
      },
      ...json,
      ...addr,
    },
    async () => (await import("./verbs/status.ts")).status,
  ),
  verb(
    "memcgset",
    "change memcg settings of the running daemon",
    { ...save, ...json, ...addrs },
    async () => (await import("./verbs/set.ts")).memcgset,
    { settingFlags: "memcgset" },
  ),
  verb(
    "memcgstatus",
    "every cgroup and node: generations, runs, evictions, next run",
    {
      path: { type: "string", valueHint: "GLOB", description: "only these cgroups: * is one level, ** any number" },
      sort: {
        type: "enum",
        options: ["path", "cold", "evicted", "size"],
        description: "by path, or largest first; by size on a terminal, else by path where it is left out",
      },
      top: { type: "string", valueHint: "N", description: "only the first N" },
      long: { type: "boolean", description: "everything about each of them, in many lines" },
      ...json,
      ...addr,
    },
    async () => (await import("./verbs/memcgstatus.ts")).memcgstatus,
    {
      words: async () => ({
        "Reasons for which a run of a target ended": (await import("../core/reason.ts")).endReasonTexts,
      }),
    },
  ),
  verb(
    "explain",
    "why a cgroup was not evicted, or when it will be",
    {
      cgroup: {
        type: "positional",
        valueHint: "CGROUP",
        description: "the cgroup's path, such as /system.slice/web.service",
        required: true,
      },
      ...json,
      ...addr,
    },
    async () => (await import("./verbs/explain.ts")).explain,
  ),
  verb(
    "history",
    "the runs of the last 24 hours: evicted, came back, saved, why not more",
    {
      since: { type: "string", valueHint: "SPAN", description: "only the last 30m, 2h, …; at most a day" },
      ...json,
      ...addr,
    },
    async () => (await import("./verbs/history.ts")).history,
  ),
  verb(
    "compactset",
    "change compaction settings of the running daemon",
    { ...save, ...json, ...addrs },
    async () => (await import("./verbs/set.ts")).compactset,
    { settingFlags: "compactset" },
  ),
  verb(
    "compactstatus",
    "compactions: why, how they ended, what they gained",
    { ...json, ...addr },
    async () => (await import("./verbs/compactstatus.ts")).compactstatus,
    {
      words: async () => {
        const { compactDecisionTexts, compactEndTexts } = await import("../core/compaction.ts");
        return { "Decisions of a run": compactDecisionTexts, "Ends of a compaction": compactEndTexts };
      },
    },
  ),
  verb(
    "loglevelset",
    "change the log level of the running daemon",
    {
      level: {
        type: "positional",
        valueHint: "trace|debug|info|warn|error|critical",
        description: "trace, debug, info, warn, error or critical",
        required: true,
      },
      ...save,
      ...json,
      ...addrs,
    },
    async () => (await import("./verbs/set.ts")).loglevelset,
  ),
  run,
  verb(
    "giveback",
    "give back as much as possible by a deadline, before a snapshot or a pause",
    {
      ...givebackArgs,
      ...json,
      ...addr,
    },
    async () => (await import("./verbs/giveback.ts")).giveback,
    {
      words: async () => ({
        "Reasons for which memory was left": (await import("../core/giveback.ts")).givebackLeftTexts,
      }),
    },
  ),
  verb(
    "pause",
    "let nothing run by itself for a while; it ends by itself",
    {
      span: {
        type: "positional",
        valueHint: "SPAN",
        description: "how long, such as 30m or 2h, at most 7d; 0 ends a pause",
        required: true,
      },
      ...json,
      ...addr,
    },
    async () => (await import("./verbs/pause.ts")).pause,
  ),
  fleet,
  config,
  verb(
    "reload",
    "read the configuration file again",
    { ...json, ...addrs },
    async () => (await import("./verbs/set.ts")).reload,
  ),
  verb(
    "doctor",
    "check what the agent needs from kernel and machine, and print the line that fixes what is missing",
    {
      config: {
        type: "string",
        valueHint: "FILE",
        description: "the configuration file; default /etc/mem-agent.toml if it is there",
      },
      ...json,
      ...addr,
    },
    async () => (await import("./verbs/doctor.ts")).doctor,
  ),
  verb(
    "metrics",
    "Prometheus text; or a Grafana dashboard, or alert rules for it",
    {
      dashboard: { type: "boolean", description: "print a Grafana dashboard (JSON), without a daemon" },
      rules: { type: "boolean", description: "print Prometheus alert rules (YAML), without a daemon" },
      ...addr,
    },
    async () => (await import("./verbs/metrics.ts")).metrics,
  ),
  verb(
    "events",
    "what happens, live: one JSON object a line",
    { ...addr },
    async () => (await import("./verbs/events.ts")).events,
  ),
  verb(
    "unit",
    "print a hardened systemd unit, or an OpenRC script",
    {
      openrc: { type: "boolean", description: "print an OpenRC script" },
      binary: { type: "string", valueHint: "PATH", description: "where mem-agent is installed, an absolute path" },
      config: { type: "string", valueHint: "FILE", description: "the configuration file that the service is given" },
    },
    async () => (await import("./verbs/unit.ts")).unit,
  ),
  group("completions", "completions for a shell", [
    verb(
      "bash",
      "for bash: source <(mem-agent completions bash)",
      {},
      async () => (await import("./verbs/completions.ts")).completionsBash,
    ),
    verb(
      "zsh",
      "for zsh: write it to a file _mem-agent in fpath",
      {},
      async () => (await import("./verbs/completions.ts")).completionsZsh,
    ),
    verb(
      "fish",
      "for fish: mem-agent completions fish | source",
      {},
      async () => (await import("./verbs/completions.ts")).completionsFish,
    ),
  ]),
  helpVerb,
  manVerb,
];

const about = "gives back memory that nobody uses: evicts cold pages, compacts free memory";

/** `mem-agent`: everything. */
export const program: GroupCommand = {
  ...group("mem-agent", about, commands),
  meta: { name: "mem-agent", description: about, version },
};

/** `mem-agent-ctl`: the commands for a running daemon, and no daemon. */
export const controlProgram: GroupCommand = {
  ...group(
    "mem-agent-ctl",
    "controls a running mem-agent",
    commands.filter((command) => command !== serve),
  ),
  meta: { name: "mem-agent-ctl", description: "controls a running mem-agent", version },
};

/** `mem-agent-srv`: the daemon alone, its flags without a verb before them. */
export const serverProgram: LeafCommand = {
  ...serve,
  meta: { name: "mem-agent-srv", description: serve.meta.description, version },
};
