// SPDX-License-Identifier: Apache-2.0
//
// Threads for work that is short and waits for nothing but the disk, and the memory
// that what they make may take.  Any thread may call any member.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

namespace nacre {

class Workers {
 public:
  // Memory of those who let things be made, as long as this lives; false: there was none left.
  class Room {
   public:
    Room() = default;
    Room(std::shared_ptr<std::atomic<std::uint64_t>> used, std::uint64_t bytes)
        : used_(std::move(used)), bytes_(bytes) {}
    Room(Room&& other) noexcept = default;
    Room& operator=(Room&& other) noexcept {
      std::swap(used_, other.used_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Room() {
      if (used_) *used_ -= bytes_;
    }
    explicit operator bool() const noexcept { return used_ != nullptr; }

   private:
    std::shared_ptr<std::atomic<std::uint64_t>> used_;
    std::uint64_t bytes_ = 0;
  };

  Workers(unsigned threads, std::uint64_t memory);
  ~Workers();  // what has not begun will not

  Room room(std::uint64_t bytes);
  void run(std::function<void()> work);  // which throws nothing

 private:
  void serve(const std::stop_token& stop);

  const std::uint64_t memory_;
  const std::shared_ptr<std::atomic<std::uint64_t>> used_ =
      std::make_shared<std::atomic<std::uint64_t>>(0);
  std::mutex mutex_;
  std::condition_variable_any ready_;
  std::deque<std::function<void()>> work_;  // guarded by mutex_
  std::vector<std::jthread> threads_;
};

}  // namespace nacre
