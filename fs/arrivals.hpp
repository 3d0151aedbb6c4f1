// SPDX-License-Identifier: Apache-2.0
//
// Parts of blocks that are on their way, for who needs no more than a part: given out as soon as
// they have come, before the block is whole and can be checked.
//
// So they are only for programs' reads in plain libraries, whose server can write what it
// likes anyway; the check finds what got damaged.  The end of a block is never given out here: who
// reads all of a block hears whether it is good.
//
// Any thread may call any member.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <stop_token>
#include <unordered_set>

#include "base/error.hpp"
#include "fs/background.hpp"

namespace nacre {

class Arrivals {
 public:
  // Fetches a block and keeps it; tells came() meanwhile.  Called by several threads at once; may
  // throw Error.
  using Fetch = std::function<void(const Fetchers::Job&, const std::stop_token&)>;
  // At most so many blocks at once: beyond it, those that nobody waits for are given up.
  Arrivals(std::size_t most, Fetch fetch);

  struct Part {
    std::uint64_t offset;    // in the stored block
    std::uint64_t expected;  // size of the stored block; 0: unknown
    bool hurried;            // else the whole block may come first, if that is soon
  };
  // Has the block fetched, unless somebody is at it, and fills `out`.  False: the whole block is
  // here, or has to be waited for.  Throws what Fetch throws, and Error{interrupted, unreachable}
  // where the caller's patience ends (base/waiting.hpp).
  bool take(const Fetchers::Job& job, const Part& part, MutableByteView out);

  // So much of a block has come, and so long it will be as the server says (0: unknown).
  // Quick; throws nothing.
  void came(const ContentId& key, ByteView so_far, std::uint64_t size) noexcept;

  // Whether a part of this block was given out that turned out to be damaged.
  [[nodiscard]] bool spoiled(const ContentId& block) const;
  [[nodiscard]] bool any_spoiled() const noexcept { return any_spoiled_; }

 private:
  struct Want;
  struct Arriving {
    ContentId key;
    std::list<Want*> wants = {};
    bool given = false;  // a part of it
    std::stop_source stop = {};
  };

  Arriving* arriving(const Fetchers::Job& job);
  void give_up_one();
  void fetch(const Fetchers::Job& job, const std::stop_token& stop);
  void end(const ContentId& key, const Error* error);

  const std::size_t most_;
  const Fetch fetch_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::list<Arriving> arriving_;           // guarded by mutex_; the oldest first
  std::unordered_set<ContentId> spoiled_;  // the same
  std::atomic<std::size_t> wanted_ = 0;    // parts
  std::atomic<bool> any_spoiled_ = false;
  Fetchers fetchers_;  // threads, which use all of the above
};

}  // namespace nacre
