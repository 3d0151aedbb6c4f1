// SPDX-License-Identifier: Apache-2.0
//
// Goes to sleep with the machine, and wakes up with it (logind's PrepareForSleep).
#pragma once

#include <filesystem>
#include <memory>

namespace nacre {

enum class OnSleep { keep_keys, lock };

// While it lives, holds the machine's sleep back (systemd-inhibit(1), mode delay) until the daemon
// of `mountpoint` is ready for it: nothing there waits for the server any more, what is unsent is
// on the disk, and keys are wiped where that is wanted.  After it the server is tried at once.
// Without logind it does nothing.
class SleepGuard {
 public:
  SleepGuard(const std::filesystem::path& mountpoint, OnSleep what);
  ~SleepGuard();
  SleepGuard(const SleepGuard&) = delete;
  SleepGuard& operator=(const SleepGuard&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nacre
