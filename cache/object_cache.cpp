// SPDX-License-Identifier: Apache-2.0
#include "cache/object_cache.hpp"

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "cache/db.hpp"
#include "cache/lru_index.hpp"
#include "cache/pins.hpp"

namespace nacre {
namespace {

constexpr std::size_t page = 4096, page_header = 16;
constexpr std::size_t largest_node = 2038;  // what is longer gets pages of its own
constexpr std::size_t name_size = 36 + 20;

// Of the file, at most: pages of the tree may be half empty.
std::uint64_t cost_of(std::size_t sealed) {
  constexpr std::size_t entry = 8 + name_size, its_turn = 8 + 8 + name_size;
  if (entry + sealed <= largest_node) return 2 * (entry + sealed + its_turn);
  return (sealed + page_header + page - 1) / page * page + 2 * (entry + 8 + its_turn);
}

Bytes key_of(const LibraryId& library, const ObjectId& id) {
  const auto text = as_bytes(library.text());
  Bytes key(text.begin(), text.end());
  key.insert(key.end(), id.bytes.begin(), id.bytes.end());
  return key;
}

}  // namespace

struct ObjectCache::Store {
  Store(const std::filesystem::path& dir, SealKey its_key, std::uint64_t its_limit)
      : key(std::move(its_key)),
        limit(its_limit),
        // Freed pages are reused a transaction or two later, hence the slack.
        db(open_disposable(
            dir, static_cast<std::size_t>(limit + limit / 4 + (std::uint64_t{64} << 20U)) / page *
                     page)) {
    objects = db.table("objects");
    turns = db.table("turns");
    pins = Pins(db.table("pins"));
    const auto txn = db.read();
    turn = next_turn(txn, turns);
    txn.scan(objects, {}, [&](ByteView, ByteView sealed) {
      used += cost_of(sealed.size());
      return true;
    });
  }

  // Oldest out first, of `left` in use.  Returns what is then.
  std::uint64_t evict(WriteTxn& txn, std::uint64_t left, std::uint64_t target) const {
    while (left > target) {
      const auto first = oldest(txn, turns);
      if (!first) break;
      txn.erase(turns, first->first);
      if (pins.contains(txn, first->second)) continue;
      if (const auto sealed = txn.get(objects, first->second))
        left -= std::min(left, cost_of(sealed->size()));
      txn.erase(objects, first->second);
    }
    return left;
  }

  void admit(const LibraryId& library, std::span<const Object> some) {
    auto txn = db.write();
    auto left = used;
    for (const auto& object : some) {
      const auto size = object.bytes.size() + SealKey::overhead;
      if (cost_of(size) > limit / 2) continue;
      const auto name = key_of(library, object.id);
      left = evict(txn, left, limit - cost_of(size));
      if (const auto replaced = txn.get(objects, name))
        left -= std::min(left, cost_of(replaced->size()));
      else if (!pins.contains(txn, name))
        txn.put(turns, turn_of(turn++), name);
      key.seal(name, object.bytes, txn.reserve(objects, name, size));
      left += cost_of(size);
    }
    std::move(txn).commit();
    used = left;
  }

  // Should the file be full all the same: room that the next one finds.
  void make_room() {
    auto txn = db.write();
    const auto now = evict(txn, used, used - std::min(used, limit / 8));
    std::move(txn).commit();
    used = now;
  }

  const SealKey key;
  const std::uint64_t limit;
  Db db;
  Table objects{}, turns{};
  Pins pins;
  std::mutex writing;
  std::uint64_t turn = 0, used = 0;  // guarded by writing
};

ObjectCache::ObjectCache(const std::filesystem::path& dir, SealKey key, std::uint64_t limit)
    : store_(std::make_unique<Store>(dir, std::move(key), limit)) {}

ObjectCache::~ObjectCache() = default;

std::optional<Bytes> ObjectCache::get(const LibraryId& library, const ObjectId& id) {
  const auto name = key_of(library, id);
  const auto txn = store_->db.read();
  const auto sealed = txn.get(store_->objects, name);
  if (!sealed) return std::nullopt;
  return store_->key.open(name, *sealed);
}

bool ObjectCache::contains(const LibraryId& library, const ObjectId& id) {
  return store_->db.read().get(store_->objects, key_of(library, id)).has_value();
}

void ObjectCache::put(const LibraryId& library, std::span<const Object> objects) noexcept try {
  if (objects.empty()) return;
  const std::lock_guard lock(store_->writing);
  try {
    store_->admit(library, objects);
  } catch (const Error& error) {
    if (error.code() != Errc::full) throw;
    store_->make_room();
  }
} catch (const std::exception& error) {
  log::warning(std::string("cache: objects are not kept: ") + error.what());
}

void ObjectCache::pin(const LibraryId& library, std::span<const ObjectId> ids) {
  auto& s = *store_;
  const std::lock_guard lock(s.writing);
  auto txn = s.db.write();
  for (const auto& id : ids) s.pins.add(txn, key_of(library, id));
  std::move(txn).commit();
}

void ObjectCache::unpin_others(const LibraryId& library, std::span<const ObjectId> kept) {
  auto& s = *store_;
  const std::lock_guard lock(s.writing);
  auto txn = s.db.write();
  for (const auto& name : s.pins.others(txn, library, kept)) {
    s.pins.remove(txn, name);
    if (txn.get(s.objects, name)) txn.put(s.turns, turn_of(s.turn++), name);
  }
  std::move(txn).commit();
}

std::uint64_t ObjectCache::cost(std::uint64_t json) {
  return cost_of(static_cast<std::size_t>(json) + SealKey::overhead);
}

}  // namespace nacre
