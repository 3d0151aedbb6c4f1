// SPDX-License-Identifier: Apache-2.0
//
// Parts of a file that are made ready before they are asked for: while one core reads from the
// cache and decrypts what a sequential reader will want, another one answers the kernel.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "base/buffer.hpp"
#include "fs/workers.hpp"

namespace nacre {

class ReadyParts {
 public:
  // Fills `out` from `offset`, on one of the workers' threads; false where that means waiting for
  // more than the disk.  What it uses has to stay for as long as it does itself.
  using Make = std::function<bool(std::uint64_t offset, MutableByteView out)>;

  ReadyParts(Workers& workers, std::uint64_t file_size);

  // Copies what is ready from `offset` on, waiting for what is just being made; how much that is.
  std::size_t take(std::uint64_t offset, MutableByteView out);

  // Somebody reads in sequence and has come to `offset`: has what follows made, if there is room.
  void go_on(std::uint64_t offset, const Make& make);
  // Nobody does any more.
  void stop();

 private:
  enum class State { waits, being_made, made, given_up };
  struct Part {
    std::uint64_t begin = 0, end = 0;
    Workers::Room room;
    Buffer bytes;
    State state = State::waits;
  };
  struct Shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::shared_ptr<Part>> parts;  // guarded by mutex, as are their states
  };
  static void make_one(Shared& shared, Part& part, const Make& make);

  Workers& workers_;
  const std::uint64_t size_;
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  std::uint64_t asked_ = 0;  // up to here; guarded by shared_->mutex
};

}  // namespace nacre
