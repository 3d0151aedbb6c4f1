#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# enter.sh LOWER UPPER COMMAND...: in fresh namespaces, makes a copy-on-write tree of LOWER whose
# changes are in UPPER, gives it the filesystems and devices of a machine, and runs COMMAND in it.
# Nothing of it is seen from outside, and all mounts go with the last process.  With CGROUP set, it
# has control groups as well: those of its namespace.
set -euo pipefail
lower=$1 upper=$2
shift 2

mount --make-rprivate /
mkdir -p "$upper"/{changes,work,root}
root=$upper/root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper/changes,workdir=$upper/work" "$root"

mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"  # the kernel is the host's
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
if [[ -n ${CGROUP:-} ]]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
fi

mount -t tmpfs -o mode=755 tmpfs "$root/dev"
device() { mknod -m 666 "$root/dev/$1" c "$2" "$3"; }
device null 1 3
device zero 1 5
device full 1 7
device random 1 8
device urandom 1 9
device tty 5 0
for name in fuse autofs; do  # their numbers are the kernel's choice
  [[ -c /dev/$name ]] && device "$name" $(stat -c '%Hr %Lr' "/dev/$name")
done
mkdir "$root"/dev/{pts,shm}
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for n in 0:stdin 1:stdout 2:stderr; do
  ln -s "/proc/self/fd/${n%:*}" "$root/dev/${n#*:}"
done
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"

ln -sf ../proc/self/mounts "$root/etc/mtab"  # as every installed system has it; fusermount3 reads it

cd "$root"
pivot_root . mnt
umount -l /mnt
mount --make-rshared /  # as systemd does it on a machine that is no container
# What of root's powers reaches beyond the namespaces is given up.
exec env -i container=nacre-test PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
  setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio,-syslog "$@"
