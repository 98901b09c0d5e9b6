case "$1" in
  remove | deconfigure) stop ;;
esac
