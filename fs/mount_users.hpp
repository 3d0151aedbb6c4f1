// SPDX-License-Identifier: Apache-2.0
//
// Which programs keep a mount busy, as far as /proc tells.
#pragma once

#include <filesystem>
#include <string>

namespace nacre {

// "bash (4711), vim (4712)"; empty: none that is seen.  Does not touch the mount.
std::string users_of(const std::filesystem::path& mountpoint);

}  // namespace nacre
