# What the scripts of both kinds of packages do with the service.

# After the first installation. The daemon refuses to start without what it needs, so doctor is asked first; in a folder
# or an image without a running systemd its answer would be about another system.
start_if_possible() {
  if [ ! -d /run/systemd/system ]; then
    echo "mem-agent: not started, because systemd does not run here. To start it at boot: systemctl enable mem-agent"
    return 0
  fi
  systemctl daemon-reload
  if report=$(mem-agent doctor 2>&1); then
    systemctl enable --now mem-agent.service || echo "mem-agent: cannot start; see systemctl status mem-agent"
    return 0
  fi
  # Where it could not run at all there is no failure to pick from what it said.
  failures=$(printf '%s\n' "$report" | awk '/^[^ ]/ { failed = /^failure / } failed')
  echo "mem-agent: not started, because mem-agent doctor finds that something is missing:"
  printf '%s\n' "${failures:-$report}"
  echo "mem-agent: once that is fixed, start it with: systemctl enable --now mem-agent"
}

# After an upgrade: a daemon that ran goes on with the new executable.
restart_if_running() {
  [ -d /run/systemd/system ] || return 0
  systemctl daemon-reload
  systemctl try-restart mem-agent.service || echo "mem-agent: cannot restart; see systemctl status mem-agent"
}

# Before the removal.
stop() {
  command -v systemctl >/dev/null || return 0
  systemctl --quiet disable --now mem-agent.service || true
}

# After the removal.
forget() {
  [ -d /run/systemd/system ] || return 0
  systemctl daemon-reload
}
