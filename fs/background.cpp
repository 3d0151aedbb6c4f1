// SPDX-License-Identifier: Apache-2.0
#include "fs/background.hpp"

#include <chrono>
#include <utility>

#include "base/heap.hpp"

namespace nacre {
namespace {

constexpr std::uint64_t keeper_bytes = std::uint64_t{32} << 20U;
constexpr std::chrono::milliseconds moment(500);
constexpr std::chrono::seconds idle(5);
constexpr std::size_t most_jobs = 256;

}  // namespace

void Keeper::keep(const ContentId& key, BlockCache::Kind kind,
                  std::shared_ptr<const Bytes> stored) {
  std::unique_lock lock(mutex_);
  if (room_.wait_for(lock, moment, [this] { return bytes_ < keeper_bytes; }))
    push({key, kind, std::move(stored)});
}

void Keeper::keep_patiently(const ContentId& key, BlockCache::Kind kind,
                            std::shared_ptr<const Bytes> stored, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  room_.wait(lock, stop, [this] { return bytes_ < keeper_bytes; });
  push({key, kind, std::move(stored)});  // at the end as well: it has been paid for
}

void Keeper::push(Item item) {
  bytes_ += item.stored->size();
  items_.push_back(std::move(item));
  ready_.notify_one();
}

void Keeper::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (ready_.wait(lock, stop, [this] { return !items_.empty(); })) {
    Item item = std::move(items_.front());
    items_.pop_front();
    lock.unlock();
    cache_.put(item.key.library, item.key.id, *item.stored, item.kind);
    const auto size = item.stored->size();
    item.stored.reset();
    lock.lock();
    bytes_ -= size;  // only now: what is being written is held as well
    room_.notify_all();
  }
}

Fetchers::Fetchers(unsigned threads, Fetch fetch) : fetch_(std::move(fetch)) {
  for (unsigned i = 0; i < threads; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { run(stop); });
  }
}

Fetchers::~Fetchers() {
  for (auto& thread : threads_) thread.request_stop();  // all, before the first is waited for
}

bool Fetchers::ask(const Job& job) {
  const std::lock_guard lock(mutex_);
  if (jobs_.size() >= most_jobs || !pending_.insert(job.key).second) return false;
  jobs_.push_back(job);
  ready_.notify_one();
  return true;
}

void Fetchers::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto any = [this] { return !jobs_.empty(); };
  for (;;) {
    if (!ready_.wait_for(lock, stop, idle, any)) {
      lock.unlock();
      heap::give_back();  // what was fetched into
      lock.lock();
      if (!ready_.wait(lock, stop, any)) return;
    }
    if (stop.stop_requested()) return;
    const Job job = jobs_.front();
    jobs_.pop_front();
    lock.unlock();
    fetch_(job, stop);
    lock.lock();
    pending_.erase(job.key);
  }
}

}  // namespace nacre
