# SPDX-License-Identifier: Apache-2.0
"""The Debian package that cpack builds: package_test.py BUILD_FOLDER."""

import glob
import gzip
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import unittest

BUILD = sys.argv.pop(1)

FILES = """
usr/bin/nacre
usr/sbin/mount.nacre
usr/lib/systemd/user/nacre-fusermount.socket
usr/lib/systemd/user/nacre-fusermount@.service
usr/lib/systemd/user/nacre@.service
usr/share/bash-completion/completions/nacre
usr/share/doc/nacre/README.md
usr/share/doc/nacre/changelog.Debian.gz
usr/share/doc/nacre/changelog.gz
usr/share/doc/nacre/copyright
usr/share/doc/nacre/examples/srv-seafile.automount
usr/share/doc/nacre/examples/srv-seafile.mount
usr/share/fish/vendor_completions.d/nacre.fish
usr/share/man/man1/nacre-accounts.1.gz
usr/share/man/man1/nacre-mount.1.gz
usr/share/man/man1/nacre-path.1.gz
usr/share/man/man1/nacre-serve.1.gz
usr/share/man/man1/nacre.1.gz
usr/share/man/man5/nacre.conf.5.gz
usr/share/man/man7/nacre-format.7.gz
usr/share/man/man8/mount.nacre.8.gz
usr/share/zsh/vendor-completions/_nacre
""".split()


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="nacre-package-")
        cls.addClassCleanup(shutil.rmtree, cls.top)
        # Whoever builds it may have a umask of their own.
        done = subprocess.run(
            ["cpack", "-G", "DEB", "--config", os.path.join(BUILD, "CPackConfig.cmake"),
             "-B", cls.top],
            cwd=BUILD, umask=0o077, timeout=200, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)
        (cls.deb,) = glob.glob(os.path.join(cls.top, "nacre_*.deb"))
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", cls.deb],
                              stdout=subprocess.PIPE) as unpacked, \
                tarfile.open(fileobj=unpacked.stdout, mode="r|") as tar:
            cls.content = {}
            for entry in tar:
                content = tar.extractfile(entry).read() if entry.isfile() else b""
                cls.content[entry.name.removeprefix("./")] = (entry, content)

    def field(self, name):
        return subprocess.run(["dpkg-deb", "-f", self.deb, name], check=True, timeout=20,
                              capture_output=True, text=True).stdout.strip()

    def test_what_is_in_it(self):
        names = [name for name, (entry, _) in self.content.items() if not entry.isdir()]
        self.assertEqual(sorted(names), sorted(FILES))

    def test_it_depends_on_what_the_program_needs(self):
        depends = [word.split()[0] for word in self.field("Depends").split(",")]
        for package in ("fuse3", "libc6", "libcurl4", "libfuse3-3", "libsodium23", "liblmdb0",
                        "libsecret-1-0", "libsystemd0", "libzxcvbn0"):
            self.assertIn(package, depends)
        self.assertEqual([word for word in depends if word.endswith("-dev")], [])

    def test_root_owns_it_and_everybody_can_read_it(self):
        for name, (entry, _) in self.content.items():
            self.assertEqual((entry.uid, entry.gid), (0, 0), name)
            program = entry.isdir() or name == "usr/bin/nacre"
            if not entry.issym():
                self.assertEqual(stat.S_IMODE(entry.mode), 0o755 if program else 0o644, name)

    def test_mount_finds_its_helper(self):
        entry, _ = self.content["usr/sbin/mount.nacre"]
        self.assertEqual(os.path.normpath(os.path.join("usr/sbin", entry.linkname)),
                         "usr/bin/nacre")

    def test_the_unit_names_the_program_where_it_is(self):
        _, unit = self.content["usr/lib/systemd/user/nacre@.service"]
        self.assertIn(b"ExecStart=/usr/bin/nacre mount", unit)

    def test_documents(self):
        def unpacked(name):
            return gzip.decompress(self.content["usr/share/" + name][1])

        self.assertIn(b".Dt NACRE 1", unpacked("man/man1/nacre.1.gz"))
        self.assertIn(b".Dt MOUNT.NACRE 8", unpacked("man/man8/mount.nacre.8.gz"))
        self.assertTrue(unpacked("doc/nacre/changelog.gz").startswith(b"# Changes"))
        version = f"nacre ({self.field('Version')}) ".encode()
        self.assertTrue(unpacked("doc/nacre/changelog.Debian.gz").startswith(version))
        self.assertIn(b"Apache-2.0", self.content["usr/share/doc/nacre/copyright"][1])


if __name__ == "__main__":
    unittest.main(verbosity=2)
