# SPDX-License-Identifier: Apache-2.0
"""Another client of the server, without any code of nacre: the web API and the sync protocol
as far as tests need somebody else who changes a library."""

import hashlib
import json
import struct
import time
import urllib.parse
import urllib.request

import kit
import needles

EMPTY = 40 * "0"


class Wire:
    def __init__(self, world):
        self.url = world.url
        self.tokens = {}
        form = {"username": kit.USER, "password": "secret of user"}
        self.token = json.loads(self.call("POST", "/api2/auth-token/", form=form))["token"]

    def call(self, method, path, body=None, form=None, token=None):
        if form is not None:
            body = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(self.url + path, data=body, method=method)
        request.add_header("Content-Type", "application/x-www-form-urlencoded" if form
                           else "application/octet-stream")
        if token is not None:
            request.add_header("Authorization", "Token " + token)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    # --- the web API ---

    def create(self, name):
        made = json.loads(self.call("POST", "/api2/repos/", form={"name": name}, token=self.token))
        self.tokens[made["repo_id"]] = made["token"]
        return made["repo_id"]

    def delete(self, library):
        self.call("DELETE", f"/api2/repos/{library}/", token=self.token)

    def id_of(self, name):
        listed = json.loads(self.call("GET", "/api2/repos/", token=self.token))
        return next(entry["id"] for entry in listed if entry["name"] == name)

    # --- the sync protocol ---

    def sync(self, method, library, rest, body=None):
        if library not in self.tokens:
            information = self.call("GET", f"/api2/repos/{library}/download-info/",
                                    token=self.token)
            self.tokens[library] = json.loads(information)["token"]
        return self.call(method, f"/seafhttp/repo/{library}/{rest}", body,
                         token=self.tokens[library])

    def commit(self, library, commit):
        return json.loads(self.sync("GET", library, f"commit/{commit}"))

    def head(self, library):
        answer = json.loads(self.sync("GET", library, "commit/HEAD"))
        return self.commit(library, answer["head_commit_id"])

    def publish(self, library, **changes):
        """A commit like the head but for `changes`; returns its id."""
        head = self.head(library)
        commit = {**head, "parent_id": head["commit_id"], "second_parent_id": None,
                  "creator": EMPTY, "creator_name": kit.USER, "description": "Changed elsewhere",
                  "ctime": max(int(time.time()), head["ctime"] + 1), **changes}
        sha = hashlib.sha1()
        for field in ("root_id", "creator", "creator_name", "description"):
            sha.update(commit[field].encode() + b"\0")
        sha.update(struct.pack(">Q", commit["ctime"]))
        commit["commit_id"] = sha.hexdigest()
        self.sync("PUT", library, f"commit/{commit['commit_id']}", json.dumps(commit).encode())
        self.sync("PUT", library, f"commit/HEAD/?head={commit['commit_id']}", b"")
        return commit["commit_id"]

    def change_password(self, library, old, new):
        """As clients do it: the same secret under another key, and its magic."""
        head = self.head(library)
        salt = needles.salt_of(head)
        secret = needles.aes("-d", needles.derive(old.encode(), salt), bytes.fromhex(head["key"]))
        key = needles.aes("-e", needles.derive(new.encode(), salt), secret).hex()
        magic = needles.derive((library + new).encode(), salt)[0].hex()
        self.publish(library, key=key, magic=magic, description="Changed library password")
        return {"key": key, "magic": magic}

