#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real Seafile client (Debian's seafile-daemon and seaf-cli) against our server, and
through it against our mounts: what one side writes the other reads, byte for byte."""

import hashlib
import json
import os
import shutil
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mount"))
import kit
from kit import get, put
from peer import ENCRYPTION, SLOW, Peer, shown

def fill(folder):
    """A tree with what tends to go wrong."""
    os.makedirs(os.path.join(folder, "a", "b", "c"))
    os.makedirs(os.path.join(folder, "empty folder"))
    put(os.path.join(folder, "run.sh"), "#!/bin/sh\necho hello\n", 0o755)
    put(os.path.join(folder, "empty.bin"), b"")
    put(os.path.join(folder, "a", "exact16"), b"0123456789abcdef")
    put(os.path.join(folder, "a", "b", "caf\u00e9"), "composed")
    put(os.path.join(folder, "a", "b", "cafe\u0301"), "decomposed")
    put(os.path.join(folder, "a", "b", "\U0001f41a 'quoted' \"twice\".txt"), "shell")
    put(os.path.join(folder, "a", "b", "c", "n" * 200), "a long name")
    block = b"".join(hashlib.sha256(str(i).encode()).digest() for i in range(1 << 15))
    put(os.path.join(folder, "a", "big.bin"), b"".join(
        bytes(x ^ (i & 255) for x in block[:1024]) + block[1024:] for i in range(25)))
    for number in range(60):
        put(os.path.join(folder, "a", f"small {number}"), f"file {number}\n")


class PeerTest(kit.Case):
    @classmethod
    def setUpClass(cls):
        cls.world = kit.World()
        cls.addClassCleanup(cls.world.close)
        cls.world.serve()
        cls.world.login("a")
        cls.peers = []
        for name in ("peer1", "peer2"):
            peer = Peer(cls.world, name)
            cls.addClassCleanup(peer.stop)
            cls.peers.append(peer)

    def setUp(self):
        self.addCleanup(self.logs_on_failure, self.world)
        self.addCleanup(self.peer_logs_on_failure)

    def peer_logs_on_failure(self):
        outcome = self._outcome.result
        if any(case is self for case, _ in outcome.failures + outcome.errors):
            for peer in self.peers:
                print(f"--- log of a peer:\n{peer.log()}", file=sys.stderr)

    def alike(self, one, other, what):
        def same():
            try:
                return shown(one) == shown(other)
            except OSError:
                return False  # a file went while we looked: look again
        kit.wait_until(same, what, SLOW)

    def round_trip(self, name, password, made_by_peer):
        """Peer, server, mount, and back."""
        uploader, downloader = self.peers
        if made_by_peer:
            library = uploader.create(name, password)
        else:
            self.world.library(name, password is not None, ENCRYPTION)
            listed = json.loads(self.world.nacre("libraries", "--json"))
            library = next(entry["id"] for entry in listed if entry["name"] == name)

        ours = self.world.mount("a", "--library", library, secret=password)
        self.addCleanup(ours.end)
        theirs = os.path.join(self.world.top, name + " up")
        if made_by_peer:
            os.makedirs(theirs)
            fill(theirs)
            uploader.attach("sync", library, theirs, password)
            self.alike(theirs, ours.where, "the mount shows what the peer uploaded")
        else:
            fill(ours.where)
            ours.sync()
            uploader.attach("sync", library, theirs, password)
            self.alike(theirs, ours.where, "the peer has what the mount wrote")

        # A change on the mount reaches the peer, and one of the peer's the mount.
        put(ours.path("a", "exact16"), "changed on the mount")
        os.rename(ours.path("a", "b", "c"), ours.path("moved"))
        os.chmod(ours.path("a", "small 7"), 0o755)
        os.unlink(ours.path("a", "small 8"))
        ours.sync()
        self.alike(theirs, ours.where, "the peer follows the mount")
        put(os.path.join(theirs, "a", "small 9"), "changed by the peer")
        os.unlink(os.path.join(theirs, "a", "small 10"))
        self.alike(theirs, ours.where, "the mount follows the peer")
        self.assertEqual(get(ours.path("a", "small 9")), b"changed by the peer")

        again = os.path.join(self.world.top, name + " down")
        downloader.attach("sync", library, again, password)
        self.alike(again, ours.where, "a second peer downloads the same tree")
        ours.end()
        shutil.rmtree(again)

    def stored(self, kind, library):
        """Ids of what the server keeps of a library."""
        top = os.path.join(self.world.top, "storage", "storage", kind, library)
        return {os.path.basename(folder) + name
                for folder, _, names in os.walk(top) for name in names}

    def test_both_cut_a_big_file_into_the_same_blocks(self):
        big = os.urandom(1 << 20)
        content = b"".join(bytes([i]) + big[i:] + big[:i] for i in range(100))
        theirs = self.peers[0].create("big of peer")
        folder = os.path.join(self.world.top, "big up")
        os.makedirs(folder)
        put(os.path.join(folder, "big"), content)
        self.peers[0].attach("sync", theirs, folder)
        self.world.library("big of nacre")
        mount = self.world.mount("a", "--library", "big of nacre")
        self.addCleanup(mount.end)
        put(mount.path("big"), content)
        mount.sync()
        ours = os.getxattr(mount.where, "user.nacre.library").decode()
        kit.wait_until(lambda: self.stored("blocks", theirs) == self.stored("blocks", ours),
                       "the same blocks from both", SLOW)
        self.assertGreater(len(self.stored("blocks", ours)), 9)

    def test_a_plain_library_made_by_the_peer(self):
        self.round_trip("plain of peer", None, True)

    def test_an_encrypted_library_made_by_the_peer(self):
        self.round_trip("encrypted of peer", kit.PASSWORD, True)

    def test_a_plain_library_made_here(self):
        self.round_trip("plain of nacre", None, False)

    def test_an_encrypted_library_made_here(self):
        self.round_trip("encrypted of nacre", kit.PASSWORD, False)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    kit.run(limit_seconds=280)
