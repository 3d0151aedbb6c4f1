# SPDX-License-Identifier: Apache-2.0
"""What is written: contents that show where each byte belongs, and marks to look for on the disk."""

import functools
import mmap
import os

# In every content and in every name that the workloads make.
CONTENT_MARK, NAME_MARK = "nur-fuer-meine-augen", "heimliches"
# What programs write by themselves; commits and trees of git are compressed.
PLAINTEXT = (CONTENT_MARK.encode(), NAME_MARK.encode(), b"SQLite format 3\0")


@functools.lru_cache(maxsize=256)
def content(tag, length):
    """The `length` bytes that `tag` stands for; no two tags share 64 bytes at any place."""
    lines, size, number = [], 0, 0
    while size < length:
        lines.append(f"{CONTENT_MARK} {tag} {number}\n".encode())
        size += len(lines[-1])
        number += 1
    return b"".join(lines)[:length]


def find_plaintext(folders):
    """The files below `folders` that show what was written, with the mark that was found."""
    found = []
    for top in folders:
        for folder, _, names in os.walk(top):
            for name in names:
                path = os.path.join(folder, name)
                if any(mark in path.encode() for mark in PLAINTEXT):
                    found.append((path, "in its name"))
                if not os.path.isfile(path) or os.path.getsize(path) == 0:
                    continue
                with open(path, "rb") as file, \
                        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as bytes_of:
                    found += [(path, mark) for mark in PLAINTEXT if bytes_of.find(mark) >= 0]
    return found
