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
#include "cli/config.hpp"
#include "fs/shield.hpp"
#include "fs/shown.hpp"

namespace nacre {

struct Tuning {
  std::vector<std::string> fuse;  // to be handed on
  bool read_only = false, unverified_blocks = false, snapshots = false;
  std::optional<std::filesystem::path> ca_file;
  bool fsync_remote = false;
  std::optional<std::uint64_t> cache_limit, write_buffer;  // bytes
  std::uint64_t download_limit = 0, upload_limit = 0;      // bytes per second; 0: none
  std::optional<int> poll, timeout, open_limit;            // seconds
  std::optional<std::size_t> max_deletions;                // files; 0: any number
  std::optional<int> quiet;                                // milliseconds
  Shown shown;
  bool notify = true;          // on the desktop
  bool lock_on_sleep = false;  // encrypted libraries
  struct Metrics {
    std::string address;
    int port = 0;
  };
  std::optional<Metrics> metrics;  // on this machine only
  std::vector<std::string> shield = usual_shield();
};

// Understands options.options, and below them what the configuration file says of this mount; what
// an option of the command line says too (library=, unlock=, ...) is put there.  Throws
// UsageError.
Tuning take_mount_options(MountOptions& options, const std::vector<ConfigItem>& config);

}  // namespace nacre
