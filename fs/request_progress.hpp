// SPDX-License-Identifier: Apache-2.0
//
// How far requests of commands are, while they are carried out.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>

namespace nacre {

struct Reached {
  std::uint64_t done = 0;
  std::uint64_t total = 0;  // an estimate; 0: nobody can tell
  const char* unit = "";    // many of them
};
using Told = std::function<void(const Reached&)>;

// What is counted in some trees, one after another, of which is known what part is done.
class Counted {
 public:
  Counted(const Told& told, std::size_t trees, const char* unit)
      : told_(told), trees_(trees), unit_(unit) {}

  void one() noexcept { ++count_; }
  void part(double of_tree) {
    const auto part = (static_cast<double>(trees_done_) + of_tree) / static_cast<double>(trees_);
    const auto total = part > 0 ? static_cast<double>(count_) / part : 0;
    if (told_) told_({count_, std::max(count_, static_cast<std::uint64_t>(total + 0.5)), unit_});
  }
  void tree_done() noexcept { ++trees_done_; }

 private:
  const Told& told_;
  const std::size_t trees_;
  const char* const unit_;
  std::uint64_t count_ = 0;
  std::size_t trees_done_ = 0;
};

// By the process that waits for the answer.  Any thread may call any member.
class RequestProgress {
 public:
  // One request, until destroyed.
  class Scope {
   public:
    Scope(RequestProgress& all, pid_t caller) : all_(all), caller_(caller) { tell({}); }
    ~Scope() {
      const std::lock_guard lock(all_.mutex_);
      all_.reached_.erase(caller_);
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    void tell(const Reached& reached) {
      const std::lock_guard lock(all_.mutex_);
      all_.reached_[caller_] = reached;
    }

   private:
    RequestProgress& all_;
    const pid_t caller_;
  };

  // As fs/control.hpp has it.
  std::string text(pid_t caller) {
    const std::lock_guard lock(mutex_);
    const auto found = reached_.find(caller);
    const auto reached = found == reached_.end() ? Reached() : found->second;
    return std::to_string(reached.done) + " " + std::to_string(reached.total) + " " + reached.unit +
           "\n";
  }

 private:
  std::mutex mutex_;
  std::map<pid_t, Reached> reached_;  // guarded by mutex_
};

}  // namespace nacre
