/**
 * What `unit` prints: a systemd unit and an OpenRC script. Also laid into the release archives. Pure.
 *
 * The unit drops every privilege that the agent does not use. What it keeps, and why:
 * - CAP_SYS_ADMIN mounts debugfs; CAP_SYS_RESOURCE arms pressure triggers with windows under 2 s; CAP_DAC_OVERRIDE opens
 *   the pressure files of cgroups that belong to other users, such as a user's session.
 * - No ProtectKernelTunables, no ProtectControlGroups: it writes below /sys/kernel/debug, /sys/fs/cgroup, /proc/sys/vm.
 * - No MemoryDenyWriteExecute: the JavaScript engine compiles while it runs.
 * - AF_VSOCK is for control.vsock; it reaches this machine and its host, and no network.
 * - /etc and /run can be written: `--save` replaces /etc/mem-agent.toml by a rename, the socket lies in /run.
 */

export interface ServiceOptions {
  /** Absolute path of the executable. */
  readonly binary: string;
  /** Absolute path of the configuration file; null for the default, which need not be there. */
  readonly config: string | null;
}

export const binaryDefault = "/usr/local/bin/mem-agent";

/** Idle, the agent wakes twice a minute at most: half of this is how often it tells the watchdog that it lives. */
const watchdogSecs = 180;

/**
 * What makes any Bun program run something else, or look elsewhere for code. The names are put together here: build.ts
 * makes the executable blind to the first two by changing them wherever they occur in it.
 */
const steeringVariables = [
  ...["OPTIONS", "BE_BUN", "INSPECT"].map((end) => `BUN_${end}`),
  "NODE_OPTIONS",
  "LD_PRELOAD",
];

function serveCommand({ binary, config }: ServiceOptions, quote: (word: string) => string): string {
  const words = [binary, "serve", ...(config === null ? [] : ["--config", config])];
  return words.map(quote).join(" ");
}

/** A word of systemd's command lines: see "COMMAND LINES" in systemd.service(5). */
function quoteForSystemd(word: string): string {
  const escaped = word.replace(/[\\"]/g, "\\$&").replace(/%/g, "%%").replace(/\$/g, "$$$$");
  return /^[\w@%+=:,./$-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}

/** A word of a POSIX shell. */
function quoteForShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, `'\\''`)}'`;
}

/** The text of mem-agent.service: systemd.service(5), systemd.exec(5). */
export function systemdUnit(options: ServiceOptions): string {
  return `[Unit]
Description=Gives back memory that nobody uses
After=local-fs.target

[Service]
Type=notify
NotifyAccess=main
ExecStart=${serveCommand(options, quoteForSystemd)}
ExecReload=${quoteForSystemd(options.binary)} reload
Restart=on-failure
RestartSec=5
TimeoutStartSec=30
TimeoutStopSec=5
WatchdogSec=${watchdogSecs}
WorkingDirectory=/
UMask=0077
UnsetEnvironment=${steeringVariables.join(" ")}

# Its own cost
MemoryHigh=64M
MemoryMax=128M
MemorySwapMax=0
TasksMax=64
CPUWeight=20
LimitNOFILE=16384
LimitCORE=0
OOMScoreAdjust=-500

# What it may do
User=root
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_SYS_RESOURCE CAP_DAC_OVERRIDE
NoNewPrivileges=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service mount umount2
SystemCallErrorNumber=EPERM
RestrictAddressFamilies=AF_UNIX AF_VSOCK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
KeyringMode=private

# What it may see and change
ProtectSystem=strict
ReadWritePaths=/etc /run
LogsDirectory=mem-agent
LogsDirectoryMode=0750
ProtectHome=yes
ProtectProc=invisible
PrivateMounts=yes
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
PrivateNetwork=yes
IPAddressDeny=any
PrivateIPC=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes

[Install]
WantedBy=multi-user.target
`;
}

/** An OpenRC service script: see openrc-run(8). */
export function openrcScript(options: ServiceOptions): string {
  const config = options.config ?? "/etc/mem-agent.toml";
  const args = options.config === null ? "serve" : `serve --config ${quoteForShell(config)}`;
  return `#!/sbin/openrc-run

description="Gives back memory that nobody uses"
description_reload="Reads the configuration again"
description_checkconfig="Checks the configuration"
extra_commands="checkconfig"
extra_started_commands="reload"

command=${quoteForShell(options.binary)}
command_args="${args.replace(/["\\$`]/g, "\\$&")}"
supervisor="supervise-daemon"
pidfile="/run/\${RC_SVCNAME}.pid"
directory="/"
umask="0077"
error_logger="logger -t \${RC_SVCNAME} -p daemon.info"
respawn_delay="5"
respawn_max="0"
rc_ulimit="-n 16384 -c 0"
rc_cgroup_settings="memory.high 67108864
memory.max 134217728"

config=${quoteForShell(config)}

depend() {
	need sysfs
	use cgroups logger
	after localmount
}

checkconfig() {
	[ ! -e "$config" ] || "$command" config check "$config"
}

start_pre() {
	unset ${steeringVariables.join(" ")}
	checkconfig
}

reload() {
	ebegin "Reloading the configuration"
	checkconfig && supervise-daemon "$RC_SVCNAME" --signal HUP --pidfile "$pidfile"
	eend $?
}
`;
}
