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

namespace nacre {
namespace {

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
        db(open_disposable(
            dir, static_cast<std::size_t>(limit + (std::uint64_t{64} << 20U)) / 4096 * 4096)) {
    objects = db.table("objects");
    turns = db.table("turns");
    turn = next_turn(db.read(), turns);
  }

  void admit(const Bytes& name, ByteView json) {
    auto txn = db.write();
    const bool replaced = txn.get(objects, name).has_value();
    key.seal(name, json, txn.reserve(objects, name, json.size() + SealKey::overhead));
    if (!replaced) txn.put(turns, turn_of(turn++), name);
    std::move(txn).commit();
  }

  // The oldest eighth goes when the file is full.
  void make_room() {
    auto txn = db.write();
    std::uint64_t freed = 0;
    while (freed < limit / 8) {
      const auto first = oldest(txn, turns);
      if (!first) break;
      if (const auto value = txn.get(objects, first->second)) freed += value->size();
      txn.erase(objects, first->second);
      txn.erase(turns, first->first);
    }
    std::move(txn).commit();
  }

  const SealKey key;
  const std::uint64_t limit;
  Db db;
  Table objects{}, turns{};
  std::mutex writing;
  std::uint64_t turn = 0;  // guarded by writing
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

void ObjectCache::put(const LibraryId& library, const ObjectId& id, ByteView json) noexcept try {
  const auto name = key_of(library, id);
  const std::lock_guard lock(store_->writing);
  try {
    store_->admit(name, json);
  } catch (const Error& error) {
    if (error.code() != Errc::full) throw;
    store_->make_room();
  }
} catch (const std::exception& error) {
  log::warning(std::string("cache: an object is not kept: ") + error.what());
}

}  // namespace nacre
