// SPDX-License-Identifier: Apache-2.0
#include "fs/workers.hpp"

namespace nacre {

Workers::Workers(unsigned threads, std::uint64_t memory) : memory_(memory) {
  for (unsigned i = 0; i < threads; ++i)
    threads_.emplace_back([this](const std::stop_token& stop) { serve(stop); });
}

Workers::~Workers() {
  for (auto& thread : threads_) thread.request_stop();  // all, before the first is waited for
}

Workers::Room Workers::room(std::uint64_t bytes) {
  if (used_->fetch_add(bytes) + bytes <= memory_) return {used_, bytes};
  *used_ -= bytes;
  return {};
}

void Workers::run(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  work_.push_back(std::move(work));
  ready_.notify_one();
}

void Workers::serve(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (ready_.wait(lock, stop, [this] { return !work_.empty(); })) {
    if (stop.stop_requested()) return;
    auto work = std::move(work_.front());
    work_.pop_front();
    lock.unlock();
    work();
    work = nullptr;  // and what it holds
    lock.lock();
  }
}

}  // namespace nacre
