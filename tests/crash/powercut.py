# SPDX-License-Identifier: Apache-2.0
"""A power cut: of what was written after the last sync, the disk has some pages, and not others.

powercut.c keeps on a shelf what was synced.  Names are the old ones or the new
ones; of each file each page, and its length, are as synced or as they are now.
"""

import os
import shutil

PAGE = 4096


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _names_now(disk):
    """Path below `disk` and is-a-folder, for each inode."""
    names = {}
    for folder, folders, files in os.walk(disk):
        for name in folders + files:
            path = os.path.join(folder, name)
            names[os.path.relpath(path, disk)] = (os.lstat(path).st_ino, name in folders)
    return names


def _names_synced(shelf):
    names = {}
    for line in (_read(os.path.join(shelf, "names")) or b"").decode().splitlines():
        inode, kind, path = line.split(" ", 2)
        names[path] = (int(inode), kind == "d")
    return names


def mix(synced, now, rng, share):
    """The bytes of a file on the disk, when of its changed pages `share` were written by chance."""
    if now is None or synced is None:
        whole = now if synced is None else synced
        return whole[:len(whole) if rng.random() < share else 0] if synced is None else whole
    length = len(now if rng.random() < share else synced)
    pages = []
    for at in range(0, length, PAGE):
        one, other = synced[at:at + PAGE], now[at:at + PAGE]
        page = other if rng.random() < share else one
        pages.append(page.ljust(PAGE, b"\0"))
    return b"".join(pages)[:length]


def cut(disk, shelf, rng):
    """Leaves in the folder `disk` what a power cut may leave of it; says what that was."""
    share = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    now, synced = _names_now(disk), _names_synced(shelf)
    contents = {inode: _read(os.path.join(disk, path))
                for path, (inode, is_folder) in now.items() if not is_folder}
    names = now if rng.random() < share else synced
    left = disk + ".left"
    os.makedirs(left, mode=0o700)
    for path, (inode, is_folder) in sorted(names.items()):
        target = os.path.join(left, path)
        if is_folder:
            os.makedirs(target, mode=0o700, exist_ok=True)
            continue
        data = mix(_read(os.path.join(shelf, str(inode))), contents.get(inode), rng, share)
        with open(os.open(target, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(data or b"")
    shutil.rmtree(disk)
    os.rename(left, disk)
    shutil.rmtree(shelf)
    os.makedirs(shelf)
    # What survived is on the disk.
    for path, (inode, is_folder) in _names_now(disk).items():
        if not is_folder:
            shutil.copyfile(os.path.join(disk, path), os.path.join(shelf, str(inode)))
    with open(os.path.join(shelf, "names"), "w", encoding="utf-8") as file:
        for path, (inode, is_folder) in _names_now(disk).items():
            file.write(f"{inode} {'d' if is_folder else 'f'} {path}\n")
    return f"{share:.0%} of the pages since, names {'now' if names is now else 'synced'}"
