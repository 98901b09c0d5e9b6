/** systemd as process 1 of a PID namespace of the guest. */
import type { Guest } from "./guest.ts";

const systemd = "/usr/lib/systemd/systemd";
const units = "/lib/systemd/system";
const wantedUnits = ["basic.target", "sysinit.target", "multi-user.target", "shutdown.target", "local-fs.target"];

/** For `Guest.boot({ files })`: what systemd needs to start and to be asked. */
export const systemdFiles: Readonly<Record<string, string>> = {
  [systemd]: systemd,
  "/usr/bin/systemctl": "/usr/bin/systemctl",
  ...Object.fromEntries(wantedUnits.map((name) => [`${units}/${name}`, `${units}/${name}`])),
};

/** Starts it, with multi-user.target as its goal, and resolves when it runs. */
export async function startSystemd(guest: Guest): Promise<void> {
  await guest.sh(`mkdir -p /etc/systemd/system && ln -s ${units}/multi-user.target /etc/systemd/system/default.target`);
  const start = `exec env -i container=guest unshare -m -p -f --mount-proc ${systemd} --system --log-target=console`;
  const { pid } = await guest.spawn(start);
  await guest.until(
    async () =>
      (await guest.sh(`cat /proc/${pid}/task/${pid}/children >/run/guest-systemd && cat /run/guest-systemd`)) !== "",
    { deadlineMs: 10_000, what: "systemd start" },
  );
}

/** A command inside systemd's own namespaces: it answers nobody else. */
export function insideSystemd(command: string): string {
  return `nsenter -t $(cat /run/guest-systemd) -m -p ${command}`;
}

/** A call of systemctl. */
export function systemctl(words: string): string {
  return insideSystemd(`systemctl ${words}`);
}

/** A property of the agent's service. */
export async function serviceProperty(guest: Guest, name: string): Promise<string> {
  return (await guest.sh(systemctl(`show --value -p ${name} mem-agent`))).trim();
}

export async function untilActive(guest: Guest): Promise<void> {
  await guest.until(async () => (await guest.run(systemctl("is-active mem-agent"))).stdout === "active\n", {
    deadlineMs: 60_000,
    what: "systemd hear that the agent is ready",
    intervalMs: 500,
  });
}
