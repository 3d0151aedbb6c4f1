// SPDX-License-Identifier: Apache-2.0
//
// What a program leaves behind that is ended while it waits.
#pragma once

#include <array>
#include <csignal>
#include <string>

namespace nacre {

// While it lives, Ctrl-C and the like say this on standard error before they end the program.
// One at a time.
class IfInterrupted {
 public:
  explicit IfInterrupted(const std::string& what_goes_on);
  ~IfInterrupted();
  IfInterrupted(const IfInterrupted&) = delete;
  IfInterrupted& operator=(const IfInterrupted&) = delete;

 private:
  static constexpr std::array signals = {SIGINT, SIGTERM, SIGHUP};
  const std::string text_;
  std::array<struct sigaction, signals.size()> before_ = {};
};

}  // namespace nacre
