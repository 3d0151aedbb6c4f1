// SPDX-License-Identifier: Apache-2.0
//
// An account on a directory: introduces remote and cache to each other, builds
// the Filesystem, mounts it, serves it and ends it cleanly.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "crypto/seal.hpp"
#include "fs/shown.hpp"
#include "remote/remote.hpp"

namespace nacre {

struct LibraryPassword {
  std::string library;  // name or id; empty: the only encrypted one
  Secret password;
};

struct MountPlan {
  std::filesystem::path mountpoint;  // absolute; an empty directory
  std::string source;                // shown by mount(8) and df: "https://host/" or "dir:/path"
  std::filesystem::path cache_dir, state_dir;  // of this account; made if missing
  SealKey device_key;
  std::string device_key_place = {};  // where that is kept, in words
  ObjectId client = {};               // creator of our commits
  std::vector<std::string> libraries =
      {};  // names or ids; empty: all.  One: its top is the mountpoint
  std::vector<LibraryPassword> passwords = {};
  bool read_only = false;
  bool rescue_only = false;  // sends nothing; knows only libraries with unsent changes
  std::uint64_t cache_limit = std::uint64_t{10} << 30U;   // bytes
  std::uint64_t write_buffer = std::uint64_t{64} << 20U;  // bytes of unsent data in memory
  bool fsync_remote = false;        // fsync(2) returns when the server has confirmed the file
  int poll_seconds = 30;            // how often heads are asked for
  int quiet_milliseconds = 2000;    // a library without changes for so long is sent
  int open_limit_seconds = 300;     // a file that is not closed is sent after so long
  std::size_t max_deletions = 500;  // files that a batch may take from the server unasked; 0: all
  int timeout_seconds = 30;         // how long a program waits for a server that says nothing
  Shown shown = {};
  bool snapshots = false;                // `.snapshots` at the top of each library
  std::vector<std::string> shield = {};  // programs for which nothing is fetched (fs/shield.hpp)
  std::vector<std::string> fuse_options = {};  // "allow_other", "default_permissions", …
  std::function<void()> ready = {};            // called once the mount answers
};

// Returns when the mount has ended.  Throws Error before `ready` was called for
// what a person must mend (mountpoint busy, unknown library, state in use).
// Call after the last fork().
void serve_mount(MountPlan plan, std::unique_ptr<Remote> remote);

}  // namespace nacre
