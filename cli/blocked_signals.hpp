// SPDX-License-Identifier: Apache-2.0
//
// Signals that are kept waiting while this lives, and taken in turn: by themselves those that end
// the program, so that what it has begun can be cleaned up.  Made before threads that are to leave
// them alone.
#pragma once

#include <csignal>
#include <ctime>
#include <initializer_list>

namespace nacre {

class BlockedSignals {
 public:
  explicit BlockedSignals(std::initializer_list<int> signals = {SIGINT, SIGTERM, SIGHUP}) {
    ::sigemptyset(&set_);
    for (const int signal : signals) ::sigaddset(&set_, signal);
    ::pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  ~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  // One that comes within so many seconds; 0: none.
  [[nodiscard]] int within(std::time_t seconds) const noexcept {
    const timespec time = {.tv_sec = seconds, .tv_nsec = 0};
    const int signal = ::sigtimedwait(&set_, nullptr, &time);
    return signal > 0 ? signal : 0;
  }
  void wait() const noexcept {
    int signal = 0;
    ::sigwait(&set_, &signal);
  }

 private:
  sigset_t set_ = {}, before_ = {};
};

}  // namespace nacre
