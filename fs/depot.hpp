// SPDX-License-Identifier: Apache-2.0
//
// Published objects and blocks of a mount's libraries: memory, then cache, then
// remote, one fetch however many wait for it (single flight).
//
// Any thread may call any member; calls may wait for the remote
// (patience::about_to_wait first) and throw what Remote throws.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <stop_token>

#include "base/guarded.hpp"
#include "cache/block_cache.hpp"
#include "cache/object_cache.hpp"
#include "fs/arrivals.hpp"
#include "fs/layout.hpp"
#include "remote/remote.hpp"

namespace nacre {

class Workers;

class Depot {
 public:
  struct Options {
    std::uint64_t parsed_memory = std::uint64_t{24} << 20U;  // directories and files kept parsed
    std::uint64_t block_memory = std::uint64_t{48} << 20U;   // fetched blocks held in memory
    unsigned fetchers = 8;   // block fetches in the background at once
    unsigned arrivals = 12;  // those of which a part was wanted first
    std::uint64_t ready_memory = std::uint64_t{16} << 20U;  // of files, decrypted before asked for
    std::chrono::milliseconds patience{30'000};  // of those, with a server that says nothing
  };

  Depot(Remote& remote, ObjectCache& objects, BlockCache& blocks, const Options& options);
  ~Depot();

  [[nodiscard]] Remote& remote() noexcept { return remote_; }

  // The empty id gives an empty directory or file without asking anybody.
  std::shared_ptr<const Directory> directory(const LibraryId& library, const ObjectId& id);
  std::shared_ptr<const File> file(const LibraryId& library, const ObjectId& id);

  // From cache or remote; Error{not_found} where the server has forgotten it.
  Commit commit(const LibraryId& library, const ObjectId& id);

  // Directory and file, if memory or cache has them; never waits for the remote.
  std::shared_ptr<const Directory> known_directory(const LibraryId& library, const ObjectId& id);
  std::shared_ptr<const File> known_file(const LibraryId& library, const ObjectId& id);

  // Whether a file can be read without the remote.
  bool has_content(const LibraryId& library, const ObjectId& file);

  // Whether they would have it; an object that is damaged in the cache counts.
  bool has_object(const LibraryId& library, const ObjectId& id);

  // Fetches in packs what is not known yet, so that the calls above find it.
  void fetch_objects(const LibraryId& library, std::span<const ObjectId> ids);

  // Objects that came from the remote, to the cache only.
  void keep_objects(const LibraryId& library, std::span<const FsObject> objects);

  // Objects and blocks that this machine made and the remote has taken.
  void remember(const LibraryId& library, const FsObject& object);
  void remember_block(const LibraryId& library, const ObjectId& id, ByteView stored,
                      BlockCache::Kind kind);

  // The checked stored bytes of a block, from memory or the remote, admitted to
  // the cache on the way.  Ask blocks().read() first where a part is enough.
  std::shared_ptr<const Bytes> block(const LibraryId& library, const ObjectId& id,
                                     BlockCache::Kind kind);
  // The same if memory has it, else null: never waits.
  std::shared_ptr<const Bytes> held_block(const LibraryId& library, const ObjectId& id);
  // Fills `out` with a part of a plain library's block as soon as that has come, not checked yet.
  // False: ask block().
  bool arriving_part(const LibraryId& library, const ObjectId& id, const Arrivals::Part& part,
                     MutableByteView out);
  // Whether a part of a file was given out so, and turned out to be damaged.
  bool spoiled(const LibraryId& library, const ObjectId& file);
  // A block's reader has passed it: the first to go from memory, before what was fetched ahead.
  void spend_block(const LibraryId& library, const ObjectId& id);
  // block() in the background, for read-ahead; failures are left to the reader.
  void fetch_block_soon(const LibraryId& library, const ObjectId& id, BlockCache::Kind kind);
  // The same by this thread, until `stop` is requested.
  void fetch_block_now(const LibraryId& library, const ObjectId& id, BlockCache::Kind kind,
                       const std::stop_token& stop);

  // Drops these from memory, and from the cache what is not pinned; bytes that frees there.
  std::uint64_t evict_blocks(const LibraryId& library, std::span<const ObjectId> ids);

  // Where the blocks of a file begin, shared by all its readers.
  using SharedLayout = std::shared_ptr<Guarded<Layout>>;
  SharedLayout layout(const LibraryId& library, const ObjectId& file, const File& content,
                      bool encrypted);
  // Tells `layout` the stored sizes of the file's blocks, from cache or the remote.
  void learn_block_sizes(const LibraryId& library, const ObjectId& file, Guarded<Layout>& layout);
  // Something of it was wrong: whoever reads next learns it anew.
  void forget_layout(const LibraryId& library, const ObjectId& file);

  [[nodiscard]] Workers& workers() noexcept;
  [[nodiscard]] BlockCache& blocks() noexcept { return blocks_; }
  [[nodiscard]] const Options& options() const noexcept { return options_; }

 private:
  struct Impl;
  Remote& remote_;
  BlockCache& blocks_;
  const Options options_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nacre
