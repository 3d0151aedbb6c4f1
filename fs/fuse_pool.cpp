// SPDX-License-Identifier: Apache-2.0
#include "fs/fuse_pool.hpp"

#include <exception>
#include <utility>

namespace nacre {

Pool::~Pool() {
  for (auto& thread : threads_) thread.request_stop();
  {
    const std::lock_guard lock(mutex_);
    for (auto* job : running_) job->give_up();
  }
  threads_.clear();  // joins
  for (auto& job : jobs_) job->drop();
}

void Pool::add(std::unique_ptr<Job> job) noexcept {
  {
    const std::lock_guard lock(mutex_);
    try {
      jobs_.push_back(nullptr);
      if (jobs_.size() > idle_ && threads_.size() < most_)
        threads_.emplace_back([this](const std::stop_token& stop) { serve(stop); });
      jobs_.back() = std::move(job);
    } catch (const std::exception&) {  // no memory, or no more threads
      if (!jobs_.empty() && !jobs_.back()) {
        if (threads_.empty())
          jobs_.pop_back();
        else
          jobs_.back() = std::move(job);  // somebody will come to it
      }
    }
  }
  if (job)
    job->drop();
  else
    ready_.notify_one();
}

void Pool::serve(const std::stop_token& stop) noexcept {
  for (;;) {
    std::unique_lock lock(mutex_);
    ++idle_;
    ready_.wait(lock, stop, [this] { return !jobs_.empty(); });
    --idle_;
    if (stop.stop_requested()) return;
    const auto job = std::move(jobs_.front());
    jobs_.pop_front();
    running_.insert(job.get());
    lock.unlock();
    job->run();
    lock.lock();
    running_.erase(job.get());
  }
}

}  // namespace nacre
