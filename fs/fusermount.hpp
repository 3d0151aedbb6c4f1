// SPDX-License-Identifier: Apache-2.0
//
// fusermount3(1), which mounts and unmounts for who may not: it is set-user-id.  A daemon in a
// sandbox cannot use that, and asks a helper outside of it, at the socket that the environment
// variable NACRE_FUSERMOUNT_SOCKET names.  What the helper does is in fusermount_helper.hpp.
//
// A request is one packet, of words that are parted by NULs: "mount", the mountpoint, options;
// or "unmount" or "detach", the mountpoint.  The reply is one packet: a NUL, with /dev/fuse when
// it was a mount, or why not.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"

namespace nacre {

inline constexpr std::size_t max_fusermount_packet = 16384;

bool has_fusermount_helper() noexcept;

// Asks the helper to mount; what the kernel's requests are read from.  Throws Error.
Fd mount_by_helper(const std::filesystem::path& mountpoint,
                   const std::vector<std::string>& options);

enum class Unmount { when_unused, at_once };

// By the helper, where there is one.  What it complains about, if it fails.
std::optional<std::string> unmount_by_fusermount(const std::filesystem::path& mountpoint,
                                                 Unmount how);

// Runs it here; what it complains about, if it fails.
std::optional<std::string> run_fusermount(std::vector<std::string> words);

// Commas part options, so they are escaped.
std::string escaped_option(std::string_view text);

}  // namespace nacre
