# SPDX-License-Identifier: Apache-2.0
"""What must never reach a server: passwords of libraries and the keys behind them, in every spelling
that a request could have; and the search for them in what was recorded."""

import base64
import glob
import hashlib
import json
import os
import subprocess
import urllib.parse

FIXED_SALT = bytes.fromhex("da9045c306c7cc26")
SHORTEST = 8  # bytes: a shorter one could be anything

# Who may send what they like: tests that play another client, and real ones.
OTHERS = (b"User-Agent: Python-urllib", b"User-Agent: Seafile", b"User-Agent: seafile")


def derive(data, salt):
    """Key and IV."""
    key = hashlib.pbkdf2_hmac("sha256", data, salt, 1000, 32)
    return key, hashlib.pbkdf2_hmac("sha256", key, salt, 10, 16)


def aes(direction, key_and_iv, data):
    key, iv = key_and_iv
    words = ["openssl", "enc", "-aes-256-cbc", direction, "-K", key.hex(), "-iv", iv.hex()]
    return subprocess.run(words, input=data, capture_output=True, check=True, timeout=20).stdout


def salt_of(commit):
    return bytes.fromhex(commit["salt"]) if commit["enc_version"] >= 3 else FIXED_SALT


def encrypted_commits(storage):
    """One for each way in which a library's key was wrapped, so that no password is forgotten."""
    seen = {}
    for path in glob.glob(os.path.join(storage, "storage", "commits", "*", "*", "*")):
        with open(path, "rb") as file:
            content = file.read()
        try:
            commit = json.loads(content)
        except ValueError:  # a test has damaged it
            continue
        if commit.get("encrypted") and commit.get("magic"):
            seen[commit["repo_id"], commit["key"]] = commit
    return seen.values()


def keys_of(commit, password):
    """All that a password opens of a library; nothing where it is not its."""
    salt = salt_of(commit)
    if derive(commit["repo_id"].encode() + password, salt)[0].hex() != commit["magic"]:
        return ()
    outer = derive(password, salt)
    secret = aes("-d", outer, bytes.fromhex(commit["key"]))
    return (*outer, secret, *derive(secret, salt))


def spellings(secret):
    text = secret.hex().encode()
    return {secret, text, text.upper(), base64.b64encode(secret).rstrip(b"="),
            base64.urlsafe_b64encode(secret).rstrip(b"="),
            urllib.parse.quote(secret, safe="").encode(), urllib.parse.quote_plus(secret).encode(),
            json.dumps(secret.decode(errors="replace"))[1:-1].encode()}


def needles(storage, passwords):
    """Every spelling, and what it is one of."""
    found = {}
    for password in passwords:
        for spelling in spellings(password) if len(password) >= SHORTEST else ():
            found[spelling] = "a library's password"
        for commit in encrypted_commits(storage):
            for key in keys_of(commit, password):
                for spelling in spellings(key):
                    found[spelling] = "a library's key"
    return found


def pieces(file, overlap):
    """What is in it, a piece at a time, each with the end of the one before."""
    before = b""
    while piece := file.read(8 << 20):
        yield before + piece
        before = (before + piece)[-overlap:]


def search(folder, wanted):
    """Bytes that were looked at; AssertionError where one of `wanted` is there."""
    total, overlap = 0, max(map(len, wanted), default=1)
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            start = file.read(4096)
            if any(other in start for other in OTHERS):
                continue
            file.seek(0)
            total += os.path.getsize(path)
            for sent in pieces(file, overlap):
                for needle, what in wanted.items():
                    if (at := sent.find(needle)) >= 0:
                        raise AssertionError(f"the server was sent {what}: "
                                             f"{sent[max(0, at - 200):at + 40]!r}")
    return total
