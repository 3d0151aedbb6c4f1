// SPDX-License-Identifier: Apache-2.0
//
// What a mount tells of itself, read from `status json`.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/progress.hpp"

namespace nacre {

struct MountStatus {
  struct Library {
    std::string id = {}, name = {}, state = {}, head = {}, error = {};
    bool encrypted = false, locked = false, writable = true;
    std::uint64_t pending_names = 0, pending_bytes = 0, conflicts = 0, retry_seconds = 0;
  };
  struct Pin {
    std::string library = {}, path = {}, error = {};
    std::uint64_t files = 0, bytes = 0, blocks = 0, blocks_here = 0;
    bool complete = false;
  };

  std::string mountpoint, source, user, connection_error;
  std::uint64_t cache_bytes = 0, cache_limit = 0, pinned_bytes = 0, received_bytes = 0,
                sent_bytes = 0, shielded_reads = 0;
  std::vector<Library> libraries;
  std::vector<Pin> pins;

  [[nodiscard]] std::uint64_t pending_bytes() const;
  [[nodiscard]] std::uint64_t pending_names() const;
};

MountStatus read_status(const std::string& json);  // Error{corrupt}

// Of the mount at an absolute path.
MountStatus ask_status(const std::filesystem::path& mountpoint, std::chrono::seconds timeout);

// How far the queue is, as it was when this was made; for Progress.
class Sending {
 public:
  explicit Sending(std::filesystem::path mountpoint) : mountpoint_(std::move(mountpoint)) {}
  Amount look();

 private:
  std::filesystem::path mountpoint_;
  std::uint64_t total_ = 0, sent_before_ = 0;
};

}  // namespace nacre
