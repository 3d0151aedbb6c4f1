// SPDX-License-Identifier: Apache-2.0
//
// Blocks as the server stores them, split into extents of one size, within a
// budget.  Blocks of plain libraries are sealed under the device key; those of
// encrypted libraries are ciphertext already and kept as they came, with a tag
// under that key by which damage shows.
// Disposable.  Any thread may call any member; readers never wait for a writer,
// and no read transaction outlives one copy.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "crypto/seal.hpp"

namespace nacre {

class BlockCache {
 public:
  enum class Kind { plain, ciphertext };  // plain is sealed

  BlockCache(const std::filesystem::path& dir, SealKey key, std::uint64_t limit);
  ~BlockCache();

  // The stored size of a block that is here whole.
  std::optional<std::uint64_t> size(const LibraryId& library, const ObjectId& id);

  // Gives `take` the stored bytes [offset, offset + size) of the block, in order, in parts of whole
  // cipher blocks but for both ends.  False where the block is not here, or an extent of it is
  // damaged (then the block is dropped); what was given before is good.
  using Take = std::function<void(ByteView part)>;
  bool read(const LibraryId& library, const ObjectId& id, std::uint64_t offset, std::size_t size,
            const Take& take);
  // The same into `out`.
  bool read(const LibraryId& library, const ObjectId& id, std::uint64_t offset,
            MutableByteView out);

  // Takes a block whose bytes have been checked against `id` by the caller.
  // Throws nothing: a full disk only costs speed.
  void put(const LibraryId& library, const ObjectId& id, ByteView stored, Kind kind) noexcept;

  void drop(const LibraryId& library, const ObjectId& id) noexcept;

  // Pinned blocks stay, whatever else comes, until they are unpinned; also those that come later.
  // What is pinned counts against the limit: the caller sees to it that it fits.
  void pin(const LibraryId& library, std::span<const ObjectId> ids);
  // All of the library but `kept`, which is sorted.
  void unpin_others(const LibraryId& library, std::span<const ObjectId> kept);

  // Drops what is not pinned of these; how many bytes that frees.
  std::uint64_t evict(const LibraryId& library, std::span<const ObjectId> ids);

  [[nodiscard]] std::uint64_t used() const;    // bytes
  [[nodiscard]] std::uint64_t pinned() const;  // of them
  // Of the cache, for a block of that size.
  static std::uint64_t cost(std::uint64_t stored);

 private:
  struct Store;
  std::unique_ptr<Store> store_;
};

}  // namespace nacre
