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

#include "base/buffer.hpp"
#include "cache/state.hpp"
#include "fs/depot.hpp"
#include "fs/file_reader.hpp"
#include "fs/key_holder.hpp"
#include "fs/overlay.hpp"
#include "fs/records.hpp"
#include "fs/saved_extents.hpp"

namespace nacre {

// What all files of a mount share.
struct ContentStore {
  Depot& depot;
  State& state;
  std::uint64_t buffer_limit;  // bytes in memory: of unsaved extents, and of what tells the others
  std::atomic<std::uint64_t> buffered = 0;
  // Half is for requests under way and malloc's gaps.
  [[nodiscard]] std::uint64_t budget() const noexcept { return buffer_limit / 2; }
  std::atomic<std::uint64_t> next_version = 1;  // each names the bytes of one file at one moment
};

class FileContent {
 public:
  // A clean file.
  FileContent(ContentStore& store, const LibraryId& library, std::shared_ptr<KeyHolder> key,
              const ObjectId& id, std::uint64_t size);
  // A changed file that state remembers; `extents` are the indices it has.
  FileContent(ContentStore& store, const LibraryId& library, std::shared_ptr<KeyHolder> key,
              NodeNumber number, const FileRecord& record,
              const std::vector<std::uint64_t>& extents);
  ~FileContent();

  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  // Changes with every change; 0: as it was published.
  [[nodiscard]] std::uint64_t version() const noexcept { return version_; }
  [[nodiscard]] bool dirty() const noexcept { return version_ != 0; }

  // Under which number state keeps this file; before the first change.
  void set_number(NodeNumber number);

  // Fills `out`; shorter only at the end.  May wait for the remote.
  std::size_t read(std::uint64_t offset, MutableByteView out);

  // Brings extents to state first where memory is short; throws Error{full}, with nothing
  // changed, where that has no room.
  void write(std::uint64_t offset, ByteView bytes);
  void truncate(std::uint64_t size);
  void zero(std::uint64_t offset, std::uint64_t length);  // within the size

  // Call without a lock before save() where time is: brings most of it to state already, where all
  // at once would take more than the budget.
  void spill_before_save();
  // Stages what is only in memory; commit the ticket to be safe from kill -9.  Throws
  // Error{full}, with all still in memory, where state has no room for it.
  State::Ticket save();
  // The removal of everything that state has of it, to be staged by the caller.
  [[nodiscard]] std::vector<State::Change> erase();

  // The remote has `id` with `size` bytes, made from `version`; `staged` takes what state has to
  // know.  True: nothing changed since, the file is clean now.  Else what was changed since lies
  // over the published file from now on.
  bool published(std::uint64_t version, const ObjectId& id, std::uint64_t size,
                 std::vector<State::Change>& staged);
  // A clean file was changed by somebody else.
  void replace(const ObjectId& id, std::uint64_t size);
  // The library was locked: forget what was read with its key.
  void drop_reader();

 private:
  // What memory has that is newer than what state has.
  struct Extent {
    ExtentRanges valid;
    Buffer data{extent_size};
    std::uint64_t version = 0;  // as SavedExtents has it
  };
  using Extents = std::map<std::uint64_t, Extent>;

  [[nodiscard]] Bytes saved_extent(std::uint64_t index) const;
  Extent& load(std::uint64_t index);
  Extents::iterator unload(Extents::iterator extent);
  void unload_all();
  [[nodiscard]] std::size_t group() const;
  [[nodiscard]] bool fits(std::uint64_t bytes) const;
  bool spill();
  std::vector<State::Change> take_unsaved(std::size_t most);
  State::Change take(std::uint64_t index, Extent& extent);
  State::Change removal(std::uint64_t index) const;
  void drop_extents(std::vector<State::Change>& staged);
  void count_saved();
  void changed() { version_ = store_.next_version++; }
  // Versions of the file that a batch can hold are those that were saved: of all changes since
  // the last it need only be known that they came after it.
  [[nodiscard]] std::uint64_t version_since_save() const { return saved_version_ + 1; }
  void make_clean(const ObjectId& id, std::uint64_t size);
  [[nodiscard]] std::uint64_t least_size_since(std::uint64_t version) const;
  std::shared_ptr<FileReader> reader();
  State::Change record();

  ContentStore& store_;
  const LibraryId library_;
  const std::shared_ptr<KeyHolder> key_;

  mutable std::mutex mutex_;  // guards all below; the atomics are written under it
  NodeNumber number_ = 0;
  ObjectId base_;
  std::uint64_t base_size_, base_limit_;
  std::atomic<std::uint64_t> size_, version_ = 0;
  std::uint64_t saved_size_ = 0, saved_version_ = 0;  // as state has them
  bool recorded_ = false;                             // state has a file record
  bool partial_ = false;                              // and more than saved_version_ says
  State::Ticket ticket_ = 0;                          // of the last that was staged
  Extents extents_;
  SavedExtents saved_;
  std::uint64_t counted_ = 0;  // bytes of saved_ that are in the budget
  // Where it was made shorter: version and size, both ascending.  A later, shorter one has
  // replaced those before it.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> cuts_;
  std::shared_ptr<FileReader> reader_;
};

}  // namespace nacre
