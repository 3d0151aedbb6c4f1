// SPDX-License-Identifier: Apache-2.0
//
// Telling the service manager that started us how we are (sd_notify(3), Type=notify).
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace nacre {

// Sends `state` ("READY=1", lines) to $NOTIFY_SOCKET; false where there is none, or it fails.
bool tell_manager(const std::string& state) noexcept;

// While it lives, tells the manager's watchdog ($WATCHDOG_USEC) that we are well, as long as
// the daemon of `mountpoint` answers a command.  Without a watchdog it does nothing.
class Watchdog {
 public:
  explicit Watchdog(const std::filesystem::path& mountpoint);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nacre
