// SPDX-License-Identifier: Apache-2.0
//
// Which threads may wait for the network.  A thread that reads requests from
// the kernel must not: inside a Hurry, whatever would wait throws WouldBlock
// instead, and the request is taken up again, from its beginning, by a worker.
// So operations ask for what they lack before they change anything.
#pragma once

namespace nacre {

struct WouldBlock {};  // not an Error: nothing went wrong

namespace patience {
inline thread_local bool in_a_hurry = false;

// To be called before every call of a Remote on behalf of a request.
inline void about_to_wait() {
  if (in_a_hurry) throw WouldBlock{};
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
