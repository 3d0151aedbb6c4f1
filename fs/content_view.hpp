// SPDX-License-Identifier: Apache-2.0
//
// The bytes of one unsent file as a snapshot of state has them, whatever is
// written meanwhile.  For one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <set>

#include "cache/state.hpp"
#include "fs/depot.hpp"
#include "fs/file_reader.hpp"
#include "fs/key_holder.hpp"
#include "fs/overlay.hpp"
#include "fs/records.hpp"
#include "fs/uploader.hpp"

namespace nacre {

class ContentView final : public PlainSource {
 public:
  // Nullopt where the snapshot has no such file, or was taken in the middle of its writing.
  static std::optional<ContentView> open(Depot& depot, const State::Snapshot& snapshot,
                                         const LibraryId& library,
                                         const std::shared_ptr<KeyHolder>& key, NodeNumber number);

  [[nodiscard]] std::uint64_t size() const override { return record_.size; }
  [[nodiscard]] std::uint64_t version() const noexcept { return record_.version; }
  void read(std::uint64_t offset, MutableByteView out) override;

 private:
  ContentView(Depot& depot, State::Snapshot snapshot, const LibraryId& library,
              std::shared_ptr<KeyHolder> key, NodeNumber number, const FileRecord& record);

  bool read_whole(std::uint64_t index, Overlay& overlay) const;

  Depot& depot_;
  State::Snapshot snapshot_;
  LibraryId library_;
  std::shared_ptr<KeyHolder> key_;
  NodeNumber number_;
  FileRecord record_;
  std::set<std::uint64_t> extents_;  // indices of those that there are
  std::unique_ptr<FileReader> base_;
};

}  // namespace nacre
