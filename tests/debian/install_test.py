# SPDX-License-Identifier: Apache-2.0
"""The package on a fresh Debian: install_test.py BUILD_FOLDER.

Builds it, has lintian read it, installs it with apt in a tree that debootstrap made, uses it
there, and purges it.
"""

import os
import shutil
import sys
import tempfile

import tree

USE = r"""
set -x
nacre --version

# As a user, by the set-user-id fusermount3.
useradd --create-home mussel
cd /home/mussel
runuser -u mussel -- sh -exc '
  umask 077
  mkdir server mnt home
  export XDG_RUNTIME_DIR=$PWD/home
  echo secret > password
  nacre serve server --add-user me --password-fd 3 3< password
  nacre serve server --listen 127.0.0.1:0 > serving &
  server=$!
  for try in $(seq 100); do grep -q http serving && break; sleep 0.1; done
  url=$(sed "s/.*\(http[^ ;]*\).*/\1/" serving)
  nacre login "$url" --user me --password-fd 3 3< password
  nacre libraries create Work
  nacre mount mnt
  echo hello > mnt/Work/letter.txt
  nacre sync mnt --wait
  nacre umount mnt
  kill $server
  wait $server
  # The server does not run, and its folder has it.
  nacre mount dir:$PWD/server/storage mnt
  grep -q hello mnt/Work/letter.txt
  nacre umount mnt
'

# As root, by mount(8).
mount -t nacre -o ro dir:/home/mussel/server/storage /media
grep -q hello /media/Work/letter.txt
umount /media
nacre demo < /dev/null

apt-get purge -y -qq nacre
test -z "$(dpkg-query -W -f '${db:Status-Abbrev}' nacre 2>/dev/null)"
find / -xdev -path /proc -prune -o -path /home -prune -o -path /root -prune -o \
  -iname '*nacre*' -print > /tmp/left
cat /tmp/left
! grep -v '^/var/l\(ib\|og\)/\(dpkg\|apt\)' /tmp/left
"""


def main():
    build = os.path.abspath(sys.argv[1])
    folder = os.path.join(build, "debian")
    tree.end_on_signals()
    try:
        tree.need_root_and_programs("debootstrap", "unshare", "setpriv", "lintian")
        tree.need_namespaces()
        tree.need_filesystem("overlay")
        tree.need_filesystem("fuse")
        fresh = tree.base(folder, "minimal", [])
    except tree.CannotHost as e:
        tree.skip(str(e))
    changes = tempfile.mkdtemp(prefix="changes-", dir=folder)
    try:
        package = tree.built_package(build, changes)
        # It is no upload to Debian's archive, which would close somebody's wish for it.
        tree.run(["lintian", "--fail-on", "error,warning", "--allow-root", "--suppress-tags",
                  "initial-upload-closes-no-bugs", package], folder)
        print("lintian: no errors, no warnings", flush=True)
        tree.install(fresh, changes, package, folder)
        print("installed", flush=True)
        tree.run(tree.enter(fresh, changes, "sh", "-ec", USE), folder)
        print("used and purged")
    finally:
        shutil.rmtree(changes)


if __name__ == "__main__":
    main()
