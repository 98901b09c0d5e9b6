#!/bin/busybox sh
# First program of a guest: loads the modules that its disks, port and balloon need, and moves onto the root disk.
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
while read -r module; do
  /bin/busybox insmod "/modules/$module" || echo "guest: cannot load $module"
done </modules/order
# Disks are probed in the background; 1,000 tries are 20 s, far more than the slowest machine took.
tries=0
until /bin/busybox mount -t ext4 -o noatime /dev/vda /root 2>/dev/null; do
  tries=$((tries + 1))
  [ "$tries" -lt 1000 ] || { echo "guest: cannot mount its root disk"; /bin/busybox poweroff -f; }
  /bin/busybox usleep 20000
done
for folder in dev proc sys; do /bin/busybox mount -o move "/$folder" "/root/$folder"; done
exec /bin/busybox switch_root /root /sbin/init
