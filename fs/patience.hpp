// SPDX-License-Identifier: Apache-2.0
//
// Which threads may wait for the network.  A thread that reads requests from
// the kernel must not: inside a Hurry, whatever would wait throws WouldBlock
// instead, and the request is taken up again, from its beginning, by a worker.
// So operations ask for what they lack before they change anything.
//
// Some programs are to get only what is on this machine (fs/shield.hpp): inside an OnlyHere,
// whatever would fetch something for them throws Error{denied}.
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
inline thread_local bool only_here = false;

// The same before what is fetched without being waited for.
inline void about_to_fetch() {
  if (only_here)
    throw Error(Errc::denied, "read: not on this machine, and not fetched for this program");
}

// To be called before every call of a Remote on behalf of a request.
inline void about_to_wait() {
  about_to_fetch();
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

class OnlyHere {
 public:
  explicit OnlyHere(bool only) noexcept : before_(patience::only_here) {
    patience::only_here = only;
  }
  ~OnlyHere() { patience::only_here = before_; }
  OnlyHere(const OnlyHere&) = delete;
  OnlyHere& operator=(const OnlyHere&) = delete;

 private:
  bool before_;
};

}  // namespace nacre
