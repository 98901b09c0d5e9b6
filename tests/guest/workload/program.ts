/** Another program that has the agent in it: gives back what one cgroup leaves cold, and says how it went. */
import { MemAgent } from "mem-agent";

const path = process.argv[2] ?? "/";
const agent = new MemAgent({
  settings: {
    memcg: {
      period_secs: 600,
      spread_percent: 0,
      // All at once, without a sample first.
      refault_percent_limit: 0,
      disabled: true,
      cgroups: [{ path, disabled: false, period_secs: 600 }],
    },
    compact: { disabled: true },
  },
});
const given = Promise.withResolvers<number>();
agent.onEvent((event) => {
  if (event.event === "target_end" && event.evicted_bytes > 0) given.resolve(event.evicted_bytes);
});
agent.start();
const { changes } = agent.memcgSet({ set: [{ path, period_secs: 1 }] });
const evictedBytes = await given.promise;
await agent.stop();
const target = agent.memcgStatus().targets.find((candidate) => candidate.path === path);
console.log(JSON.stringify({ evictedBytes, changes: changes.length, agings: target?.agings, end: target?.last_end }));
