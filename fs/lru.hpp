// SPDX-License-Identifier: Apache-2.0
//
// What was used last, up to a total cost.  Not locked: its owner guards it.
// The newest entry stays, whatever it costs.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>
#include <utility>

#include "base/ids.hpp"

namespace nacre {

// An object or a block: ids are unique within a library only.
struct ContentId {
  LibraryId library;
  ObjectId id;

  friend bool operator==(const ContentId&, const ContentId&) = default;
};

template <class Key, class Value>
class Lru {
 public:
  explicit Lru(std::uint64_t limit) : limit_(limit) {}

  // A copy, now the last to go; an empty Value where there is none.
  Value get(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return {};
    order_.splice(order_.begin(), order_, found->second);
    return found->second->value;
  }

  [[nodiscard]] bool contains(const Key& key) const { return index_.contains(key); }

  // Returns what had to go, so that it is destroyed when no lock is held.
  std::list<Value> put(const Key& key, Value value, std::uint64_t cost) {
    auto gone = drop(key);
    order_.push_front(Node{key, std::move(value), cost});
    index_.emplace(key, order_.begin());
    cost_ += cost;
    while (cost_ > limit_ && order_.size() > 1) {
      const Key oldest = order_.back().key;
      gone.splice(gone.end(), drop(oldest));
    }
    return gone;
  }

  // Makes it the first to go.
  void demote(const Key& key) {
    const auto found = index_.find(key);
    if (found != index_.end()) order_.splice(order_.end(), order_, found->second);
  }

  std::list<Value> drop(const Key& key) {
    std::list<Value> gone;
    const auto found = index_.find(key);
    if (found == index_.end()) return gone;
    cost_ -= found->second->cost;
    gone.push_back(std::move(found->second->value));
    order_.erase(found->second);
    index_.erase(found);
    return gone;
  }

 private:
  struct Node {
    Key key;
    Value value;
    std::uint64_t cost;
  };

  std::uint64_t limit_, cost_ = 0;
  std::list<Node> order_;  // newest first
  std::unordered_map<Key, typename std::list<Node>::iterator> index_;
};

}  // namespace nacre

template <>
struct std::hash<nacre::ContentId> {
  std::size_t operator()(const nacre::ContentId& key) const noexcept {
    return std::hash<nacre::ObjectId>()(key.id) ^ std::hash<nacre::LibraryId>()(key.library);
  }
};
