case "$1" in
  remove) forget ;;
  purge) rm -rf /var/log/mem-agent ;;
esac
