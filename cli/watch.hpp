// SPDX-License-Identifier: Apache-2.0
//
// A mount's status as a live view on the terminal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "cli/mount_status.hpp"
#include "cli/progress.hpp"

namespace nacre {

// What a view knows of the time between.
struct Traffic {
  std::uint64_t received_per_second = 0, sent_per_second = 0;
  std::optional<std::chrono::seconds> left;  // until the queue is empty
};

struct ViewStyle {
  std::size_t columns = 80;
  bool colour = false;
};

// The lines of the view, each of at most so many columns.
std::vector<std::string> view_of(const MountStatus& status, const Traffic& traffic,
                                 const ViewStyle& style);

// Shows it until Ctrl-C, or until the mount ends.  UsageError where there is no terminal.
Exit watch(const std::string& mountpoint, const Io& io);

}  // namespace nacre
