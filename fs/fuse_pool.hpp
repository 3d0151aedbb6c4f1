// SPDX-License-Identifier: Apache-2.0
//
// Threads for requests that have to wait, so that those which read from the
// kernel never do.  Threads come as they are needed, up to a bound; what is
// beyond it queues in the order it came.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_set>
#include <vector>

namespace nacre {

class Pool {
 public:
  // Exactly one of run() and drop() is called, once.
  class Job {
   public:
    virtual ~Job() = default;
    virtual void run() noexcept = 0;
    virtual void drop() noexcept = 0;     // it will not be run
    virtual void give_up() noexcept = 0;  // while it runs: nobody waits for it any more
  };

  explicit Pool(std::size_t most_threads) : most_(most_threads) {}
  ~Pool();  // gives up and waits for what runs, drops what has not begun
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Any thread.  Drops the job on the spot where there is neither memory nor a thread for it.
  void add(std::unique_ptr<Job> job) noexcept;

 private:
  void serve(const std::stop_token& stop) noexcept;

  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable_any ready_;
  std::deque<std::unique_ptr<Job>> jobs_;  // guarded by mutex_
  std::unordered_set<Job*> running_;       // guarded by mutex_
  std::size_t idle_ = 0;                   // guarded by mutex_
  std::vector<std::jthread> threads_;      // grown under mutex_; last in, first out
};

}  // namespace nacre
