/** The pages of the manual by topic, in reading order. A page's text is loaded when it is asked for. */

export interface Page {
  /** What the page is about, for the list of topics. */
  readonly about: string;
  readonly load: () => Promise<{ readonly default: string }>;
}

export const pages = {
  install: {
    about: "archives, services, guest images, and how to remove it",
    load: () => import("./install.md", { with: { type: "text" } }),
  },
  requirements: {
    about: "what the kernel must offer, and every check of doctor",
    load: () => import("./requirements.md", { with: { type: "text" } }),
  },
  host: {
    about: "how the host gets the memory back: balloons and block sizes",
    load: () => import("./host.md", { with: { type: "text" } }),
  },
  commands: {
    about: "every command and its arguments, exit codes",
    load: () => import("./commands.md", { with: { type: "text" } }),
  },
  screens: {
    about: "what status, status --watch and explain show",
    load: () => import("./screens.md", { with: { type: "text" } }),
  },
  settings: {
    about: "every setting, where a value comes from, reload and save",
    load: () => import("./settings.md", { with: { type: "text" } }),
  },
  rules: {
    about: "settings for single cgroups",
    load: () => import("./rules.md", { with: { type: "text" } }),
  },
  "how-it-decides": {
    about: "age, pressure, pace, price, compaction, and every reason",
    load: () => import("./how-it-decides.md", { with: { type: "text" } }),
  },
  "fleet-settings": {
    about: "which settings for which machines",
    load: () => import("./fleet-settings.md", { with: { type: "text" } }),
  },
  monitoring: {
    about: "every metric, and how to scrape them",
    load: () => import("./monitoring.md", { with: { type: "text" } }),
  },
  socket: {
    about: "the API: requests, JSON, events",
    load: () => import("./socket.md", { with: { type: "text" } }),
  },
  troubleshooting: {
    about: "every warning, and what to do about it",
    load: () => import("./troubleshooting.md", { with: { type: "text" } }),
  },
  security: {
    about: "what it can do, which privileges it needs",
    load: () => import("./security.md", { with: { type: "text" } }),
  },
  cost: {
    about: "what the agent itself takes, measured",
    load: () => import("./cost.md", { with: { type: "text" } }),
  },
  results: {
    about: "simulation, guests, faults",
    load: () => import("./results.md", { with: { type: "text" } }),
  },
  library: {
    about: "the agent inside another program",
    load: () => import("./library.md", { with: { type: "text" } }),
  },
  development: {
    about: "the source, the checks, how to change something",
    load: () => import("./development.md", { with: { type: "text" } }),
  },
  changelog: {
    about: "what changed between versions",
    load: () => import("./changelog.md", { with: { type: "text" } }),
  },
} as const satisfies Readonly<Record<string, Page>>;

export type Topic = keyof typeof pages;

export const topics = Object.keys(pages) as readonly Topic[];

/** Other words for a topic that people may look for. */
const otherWords: Readonly<Record<string, Topic>> = { pace: "how-it-decides" };

/** The topic that a word stands for, null where there is none. */
export function topicOf(word: string): Topic | null {
  if (Object.hasOwn(pages, word)) return word as Topic;
  return Object.hasOwn(otherWords, word) ? (otherWords[word] ?? null) : null;
}

export async function pageText(topic: Topic): Promise<string> {
  return (await pages[topic].load()).default;
}
