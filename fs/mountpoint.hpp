// SPDX-License-Identifier: Apache-2.0
//
// The directory that a mount is put on.  Messages of thrown Errors say what a
// person can do.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace nacre {

// The type of the newest filesystem mounted there ("fuse.nacre"), asked of the
// kernel's table: the mount itself is not touched.
std::optional<std::string> mounted_type(const std::filesystem::path& mountpoint);

// Where this user has mounted nacre, whether its daemons answer or not; asked of the same table.
std::vector<std::filesystem::path> mounts_of_nacre();

// Asks the mount itself: takes as long as a daemon that hangs.
bool has_lost_its_daemon(const std::filesystem::path& mountpoint);

// Throws Error unless something can be mounted there: an empty directory that is
// not a mount already.  What a killed daemon of ours left there is cleared away.
void check_mountpoint(const std::filesystem::path& mountpoint);

// Ends the mount as umount(8) does, changes written first.  Throws Error{busy}
// while programs use it.  The mount must still be served meanwhile, by other threads.
void unmount(const std::filesystem::path& mountpoint);

}  // namespace nacre
