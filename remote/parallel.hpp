// SPDX-License-Identifier: Apache-2.0
//
// A few blocking calls at once.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/waiting.hpp"

namespace nacre {

// Runs job(0) … job(count - 1) on up to `lanes` threads, one of them the
// caller's, all with its patience.  After a failure no further job begins; the first one is thrown
// on.
template <class Job>
void run_parallel(std::size_t count, std::size_t lanes, const Job& job) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;  // guarded by mutex
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        job(i);
      } catch (...) {  // crosses from thread to thread
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        next = count;
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    const auto& ours = waiting::here;
    while (threads.size() + 1 < std::min(lanes, count)) {
      threads.emplace_back([&work, &ours] {
        const WaitAs caller(ours);
        work();
      });
    }
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace nacre
