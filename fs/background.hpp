// SPDX-License-Identifier: Apache-2.0
//
// What a Depot does off the readers' path: fetching ahead, and writing fetched
// blocks to the cache.  Any thread may call any member.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/bytes.hpp"
#include "cache/block_cache.hpp"
#include "fs/lru.hpp"

namespace nacre {

// Writes blocks to the cache, in order.  Its destructor writes what is left.
class Keeper {
 public:
  explicit Keeper(BlockCache& cache) : cache_(cache) {}
  ~Keeper() { thread_.request_stop(); }

  // Beyond the bound a reader waits a moment, and goes on without its block being cached where
  // the disk is slower than that; a fetcher waits for room until it is to stop.
  void keep(const ContentId& key, BlockCache::Kind kind, std::shared_ptr<const Bytes> stored);
  void keep_patiently(const ContentId& key, BlockCache::Kind kind,
                      std::shared_ptr<const Bytes> stored, const std::stop_token& stop);

 private:
  struct Item {
    ContentId key;
    BlockCache::Kind kind;
    std::shared_ptr<const Bytes> stored;
  };
  void run(const std::stop_token& stop);
  void push(Item item);

  BlockCache& cache_;
  std::mutex mutex_;
  std::condition_variable_any ready_, room_;
  std::deque<Item> items_;   // guarded by mutex_
  std::uint64_t bytes_ = 0;  // the same
  std::jthread thread_{[this](const std::stop_token& stop) { run(stop); }};
};

// Fetches what is asked for soon; forgets it where too much is.
class Fetchers {
 public:
  struct Job {
    ContentId key;
    BlockCache::Kind kind;
  };
  // `fetch` is called by several threads at once and throws nothing.
  using Fetch = std::function<void(const Job&, const std::stop_token&)>;
  Fetchers(unsigned threads, Fetch fetch);
  ~Fetchers();  // what has not begun will not

  bool ask(const Job& job);  // false: it was asked for already, or too much was

 private:
  void run(const std::stop_token& stop);

  Fetch fetch_;
  std::mutex mutex_;
  std::condition_variable_any ready_;
  std::deque<Job> jobs_;                   // guarded by mutex_
  std::unordered_set<ContentId> pending_;  // the same: those in jobs_, and those being fetched
  std::vector<std::jthread> threads_;
};

}  // namespace nacre
