case "$1" in
  configure)
    # The second word is the version that was configured before, empty at the first installation.
    if [ -z "$2" ]; then start_if_possible; else restart_if_running; fi
    ;;
esac
