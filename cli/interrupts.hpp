// SPDX-License-Identifier: Apache-2.0
//
// Signals that end the program are noted instead while this lives, so that what the program has
// begun can be cleaned up.  Made before threads that are to leave them alone.
#pragma once

#include <csignal>
#include <ctime>

namespace nacre {

class Interrupts {
 public:
  Interrupts() {
    ::sigemptyset(&set_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&set_, signal);
    ::pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  ~Interrupts() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  // Whether one comes within so many seconds.
  [[nodiscard]] bool within(std::time_t seconds) const {
    const timespec time = {.tv_sec = seconds, .tv_nsec = 0};
    return ::sigtimedwait(&set_, nullptr, &time) > 0;
  }

 private:
  sigset_t set_ = {}, before_ = {};
};

}  // namespace nacre
