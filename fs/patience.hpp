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
// A program's read of a large block needs not wait for the end of it (fs/arrivals.hpp): inside a
// PartsWillDo what has come may be given out before it is checked.
//
// A worker's request may be given up by its caller (a signal): the caller has its
// answer then, and whatever waits or would still wait throws Error{interrupted}
// instead (base/waiting.hpp).
#pragma once

#include <utility>

#include "base/error.hpp"
#include "base/waiting.hpp"

namespace nacre {

struct WouldBlock {};  // not an Error: nothing went wrong

namespace patience {
inline thread_local bool in_a_hurry = false;
inline thread_local bool only_here = false;
inline thread_local bool parts_will_do = false;

// The same before what is fetched without being waited for.
inline void about_to_fetch() {
  if (only_here)
    throw Error(Errc::denied, "read: not on this machine, and not fetched for this program");
}

// To be called before every call of a Remote on behalf of a request.
inline void about_to_wait() {
  about_to_fetch();
  if (in_a_hurry) throw WouldBlock{};
  if (waiting::here.stop.stop_requested()) waiting::fail(waiting::End::stopped);
}
}  // namespace patience

// One of these words, said for a while.
class Saying {
 public:
  Saying(bool& word, bool value) noexcept : word_(word), before_(std::exchange(word, value)) {}
  ~Saying() { word_ = before_; }
  Saying(const Saying&) = delete;
  Saying& operator=(const Saying&) = delete;

 private:
  bool& word_;
  const bool before_;
};

class Hurry : Saying {
 public:
  Hurry() noexcept : Saying(patience::in_a_hurry, true) {}
};

class OnlyHere : Saying {
 public:
  explicit OnlyHere(bool only) noexcept : Saying(patience::only_here, only) {}
};

class PartsWillDo : Saying {
 public:
  explicit PartsWillDo(bool will) noexcept : Saying(patience::parts_will_do, will) {}
};

}  // namespace nacre
