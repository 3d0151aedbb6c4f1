// SPDX-License-Identifier: Apache-2.0
//
// A Filesystem on a directory, from mount to unmount.  It ends by umount(8),
// fusermount3 -u, unmount(), or SIGTERM, SIGINT, SIGHUP; the last three also end
// a mount that is in use, whose users then get errors.
//
// One per process, since signals are the process's; make it after the last fork().
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fs/filesystem.hpp"

namespace nacre {

struct SessionOptions {
  std::filesystem::path mountpoint;
  std::string source;  // shown by mount(8) and df
  bool read_only = false;
  bool check_modes = true;  // the kernel does, of whoever it lets in
  std::vector<std::string> fuse_options;
  std::vector<std::string> shield = {};  // programs for which nothing is fetched (fs/shield.hpp)
  std::chrono::milliseconds patience{
      30'000};                  // for how long a request may hear nothing of a server
  std::function<void()> ready;  // called once, when the mount answers
};

class FuseSession {
 public:
  // Mounts; requests wait until serve().  Throws Error for what a person must mend.
  FuseSession(Filesystem& fs, SessionOptions options);
  ~FuseSession();  // unmounts

  // What to tell of changes, from the beginning to the end of the session.
  Kernel& kernel() noexcept;

  // Answers requests; returns when the mount has ended and no request is under way.
  void serve();

  // Any thread, while serve() runs.  Throws Error{busy} where programs use the mount.
  void unmount();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nacre
