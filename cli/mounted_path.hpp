// SPDX-License-Identifier: Apache-2.0
//
// Which mount a path lies in, found without touching the mount: its daemon may not answer.
#pragma once

#include <filesystem>
#include <string>

namespace nacre {

struct MountedPath {
  std::filesystem::path mountpoint;
  std::string inside;  // names with slashes between; empty: the mountpoint itself
};

// Error{not_found}: no mount of nacre is there.
MountedPath find_mounted(const std::string& path);

}  // namespace nacre
