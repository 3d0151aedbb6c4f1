// SPDX-License-Identifier: Apache-2.0
//
// Tells a desktop's user what needs them (org.freedesktop.Notifications): a password, a full
// account, conflict copies, a server that went back, deletions that wait.
#pragma once

#include <filesystem>
#include <memory>

namespace nacre {

// While it lives, shows what the daemon of `mountpoint` says needs a person: each cause once, taken
// back when it is over.  Where there is no desktop it does nothing.
class Desktop {
 public:
  explicit Desktop(const std::filesystem::path& mountpoint);
  ~Desktop();
  Desktop(const Desktop&) = delete;
  Desktop& operator=(const Desktop&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nacre
