// SPDX-License-Identifier: Apache-2.0
//
// What follows -o of a mount, nacre's own and what mount(8) and fstab(5) know.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "fs/shield.hpp"
#include "fs/shown.hpp"

namespace nacre {

struct Tuning {
  std::vector<std::string> fuse;  // to be handed on
  bool read_only = false, unverified_blocks = false, snapshots = false;
  std::optional<std::filesystem::path> ca_file;
  bool fsync_remote = false;
  std::optional<std::uint64_t> cache_limit, write_buffer;  // bytes
  std::optional<int> poll, timeout, open_limit;            // seconds
  std::optional<int> quiet;                                // milliseconds
  Shown shown;
  struct Metrics {
    std::string address;
    int port = 0;
  };
  std::optional<Metrics> metrics;  // on this machine only
  std::vector<std::string> shield = usual_shield();
};

// Understands options.options; those that say what an option of the command line says too
// (library=, unlock=, ...) are put there.  Throws UsageError.
Tuning take_mount_options(MountOptions& options);

}  // namespace nacre
