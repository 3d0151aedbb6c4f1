// SPDX-License-Identifier: Apache-2.0
//
// Which threads may wait for the network.  A thread that reads requests from
// the kernel must not: inside a Hurry, whatever would wait throws WouldBlock
// instead, and the request is taken up again, from its beginning, by a worker.
// So operations ask for what they lack before they change anything.
//
// A worker's request may be given up by its caller (a signal): the caller has its
// answer then, and whatever waits or would still wait throws Error{interrupted}
// instead (base/waiting.hpp).
#pragma once

#include "base/error.hpp"
#include "base/waiting.hpp"

namespace nacre {

struct WouldBlock {};  // not an Error: nothing went wrong

namespace patience {
inline thread_local bool in_a_hurry = false;

// To be called before every call of a Remote on behalf of a request.
inline void about_to_wait() {
  if (in_a_hurry) throw WouldBlock{};
  if (waiting::here.stop.stop_requested())
    throw Error(Errc::interrupted, "request: the caller stopped waiting; nothing was changed");
}
}  // namespace patience

class Hurry {
 public:
  Hurry() noexcept : before_(patience::in_a_hurry) { patience::in_a_hurry = true; }
  ~Hurry() { patience::in_a_hurry = before_; }
  Hurry(const Hurry&) = delete;
  Hurry& operator=(const Hurry&) = delete;

 private:
  bool before_;
};

}  // namespace nacre
