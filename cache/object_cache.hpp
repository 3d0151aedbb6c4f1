// SPDX-License-Identifier: Apache-2.0
//
// fs objects (and file layouts) that were fetched once, sealed under the device
// key.  Disposable: what is lost or damaged is fetched again.
// Any thread may call any member.  get() answers damage with nullopt; put()
// throws nothing (a full disk only costs speed).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "crypto/seal.hpp"

namespace nacre {

class ObjectCache {
 public:
  // Under `dir` (made if missing); at most about `limit` bytes, oldest out first.
  // What would take more than half of that is not kept.
  ObjectCache(const std::filesystem::path& dir, SealKey key, std::uint64_t limit);
  ~ObjectCache();

  std::optional<Bytes> get(const LibraryId& library, const ObjectId& id);
  [[nodiscard]] bool contains(const LibraryId& library, const ObjectId& id);  // damaged or not

  struct Object {
    ObjectId id;
    ByteView bytes;
  };
  // All in one transaction.
  void put(const LibraryId& library, std::span<const Object> objects) noexcept;
  void put(const LibraryId& library, const ObjectId& id, ByteView bytes) noexcept {
    const Object one{id, bytes};
    put(library, {&one, 1});
  }

  // As those of BlockCache.
  void pin(const LibraryId& library, std::span<const ObjectId> ids);
  void unpin_others(const LibraryId& library, std::span<const ObjectId> kept);

  // Of the cache, for an object of that size.
  static std::uint64_t cost(std::uint64_t json);

 private:
  struct Store;
  std::unique_ptr<Store> store_;
};

}  // namespace nacre
