// SPDX-License-Identifier: Apache-2.0
//
// The bytes of one file as this mount sees them: a published file, as far as it
// still shows, under extents that were written since.  Written bytes are kept
// in memory up to a budget that all files share, then in state.
//
// Any thread may call any member.  The mutex is held over no network and no
// LMDB transaction but short reads of state.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "cache/state.hpp"
#include "fs/depot.hpp"
#include "fs/file_reader.hpp"
#include "fs/key_holder.hpp"
#include "fs/records.hpp"

namespace nacre {

// What all files of a mount share.
struct ContentStore {
  Depot& depot;
  State& state;
  std::uint64_t buffer_limit;  // bytes of unsaved extents in memory
  std::atomic<std::uint64_t> buffered = 0;
};

class FileContent {
 public:
  static constexpr std::uint32_t extent_size = 128U << 10U;

  // A clean file.
  FileContent(ContentStore& store, const LibraryId& library, std::shared_ptr<KeyHolder> key,
              const ObjectId& id, std::uint64_t size);
  // A changed file that state remembers; `extents` are the indices it has.
  FileContent(ContentStore& store, const LibraryId& library, std::shared_ptr<KeyHolder> key,
              NodeNumber number, const FileRecord& record,
              const std::vector<std::uint64_t>& extents);
  ~FileContent();

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  // Counts changes; 0 has never changed since it was published.
  [[nodiscard]] std::uint64_t version() const noexcept { return version_; }
  [[nodiscard]] bool dirty() const noexcept { return version_ != 0; }

  // Under which number state keeps this file; before the first change.
  void set_number(NodeNumber number);

  // Fills `out`; shorter only at the end.  May wait for the remote.
  std::size_t read(std::uint64_t offset, MutableByteView out);

  // May bring extents to state (Error{full}); the bytes are then kept in memory.
  void write(std::uint64_t offset, ByteView bytes);
  void truncate(std::uint64_t size);
  void zero(std::uint64_t offset, std::uint64_t length);  // within the size

  // Stages what is only in memory; commit the ticket to be safe from kill -9.
  State::Ticket save();
  // Stages the removal of everything that state has of it.
  State::Ticket erase();

  // The remote has `id` with `size` bytes, made from `version`.  True: nothing
  // changed since, the file is clean now and `erased` holds what state may forget.
  bool published(std::uint64_t version, const ObjectId& id, std::uint64_t size,
                 std::vector<State::Change>& erased);
  // A clean file was changed by somebody else.
  void replace(const ObjectId& id, std::uint64_t size);
  // The library was locked: forget what was read with its key.
  void drop_reader();

 private:
  using Ranges = std::vector<std::pair<std::uint32_t, std::uint32_t>>;  // begin, end
  struct Extent {
    Ranges valid;          // known when in memory
    Bytes data;            // extent_size bytes when in memory, else empty
    bool saved = false;    // state has a version of it
    bool unsaved = false;  // memory is newer than state
  };
  struct Gap {
    std::uint64_t offset;
    std::size_t at, length;  // in the caller's buffer
  };

  void load(std::uint64_t index, Extent& extent);
  void unload(Extent& extent);
  void changed() { ++version_; }
  std::vector<State::Change> take_unsaved();
  void spill_if_needed();
  std::shared_ptr<FileReader> reader();
  FileRecord record() const;

  ContentStore& store_;
  const LibraryId library_;
  const std::shared_ptr<KeyHolder> key_;

  mutable std::mutex mutex_;  // guards all below; the atomics are written under it
  NodeNumber number_ = 0;
  ObjectId base_;
  std::uint64_t base_size_, base_limit_;
  std::atomic<std::uint64_t> size_, version_ = 0;
  bool recorded_ = false;  // state has a file record
  std::map<std::uint64_t, Extent> extents_;
  std::shared_ptr<FileReader> reader_;
};

}  // namespace nacre
