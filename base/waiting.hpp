// SPDX-License-Identifier: Apache-2.0
//
// For how long, and for whom, a thread may wait for the server: whatever waits
// below it keeps to `waiting::here`.  A thread that says nothing waits as long as
// the call by itself does.  Threads that work for another one take over its Waiting.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stop_token>
#include <utility>

#include "base/error.hpp"

namespace nacre {

// When something was last heard: a slow server is not one that has gone.
using Heard = std::atomic<std::chrono::steady_clock::time_point>;

struct Waiting {
  using Clock = std::chrono::steady_clock;

  std::chrono::milliseconds most{0};  // without hearing anything, retries included; 0: no bound
  bool fail_fast = false;             // a server that is known to be away is not waited for
  bool urgent = false;                // a program waits for it: before what is fetched ahead
  std::stop_token stop = {};          // requested: nobody needs the result any more
  std::shared_ptr<Heard> heard = {};  // moved on by whatever arrives for this thread; never null
                                      // where there is a bound

  // From now on, for at most `most`.
  static Waiting at_most(std::chrono::milliseconds most, bool fail_fast = false) {
    return {most, fail_fast, false, {}, std::make_shared<Heard>(Clock::now())};
  }

  [[nodiscard]] Clock::time_point until() const {
    return most.count() > 0 ? heard->load() + most : Clock::time_point::max();
  }
};

namespace waiting {
inline thread_local Waiting here;  // of this thread

enum class End { done, stopped, late };

// Says how a wait ended that was not done: Error{interrupted, unreachable}.
[[noreturn]] inline void fail(End how) {
  if (how == End::late)
    throw Error(Errc::unreachable, "server: no answer in time; check the network");
  throw Error(Errc::interrupted, "request: the caller stopped waiting; nothing was changed");
}

// Waits on `changed` until `done()`, or until this thread's patience has ended.  `also`:
// what else shows that things go on.
template <class Done>
End wait(std::condition_variable_any& changed, std::unique_lock<std::mutex>& lock, Done done,
         const Heard* also = nullptr) {
  for (;;) {
    auto until = here.until();
    if (also != nullptr && here.most.count() > 0) until = std::max(until, also->load() + here.most);
    const bool over = until == Waiting::Clock::time_point::max()
                          ? changed.wait(lock, here.stop, done)
                          : changed.wait_until(lock, here.stop, until, done);
    if (over) return End::done;
    if (here.stop.stop_requested()) return End::stopped;
    // Meanwhile something may have been heard.
    until = here.until();
    if (also != nullptr) until = std::max(until, also->load() + here.most);
    if (until <= Waiting::Clock::now()) return End::late;
  }
}
}  // namespace waiting

// This thread's Waiting, for a while.
class WaitAs {
 public:
  explicit WaitAs(Waiting waiting) noexcept
      : before_(std::exchange(waiting::here, std::move(waiting))) {}
  ~WaitAs() { waiting::here = std::move(before_); }
  WaitAs(const WaitAs&) = delete;
  WaitAs& operator=(const WaitAs&) = delete;

 private:
  Waiting before_;
};

}  // namespace nacre
