// SPDX-License-Identifier: Apache-2.0
#include "fs/content_view.hpp"

#include <utility>

#include "base/error.hpp"

namespace nacre {

std::optional<ContentView> ContentView::open(Depot& depot, const State::Snapshot& snapshot,
                                             const LibraryId& library,
                                             const std::shared_ptr<KeyHolder>& key,
                                             NodeNumber number) {
  const auto value = snapshot.get(record_key::file(library, number));
  if (!value) return std::nullopt;
  const auto record = decode_file(*value);
  if (record.partial) return std::nullopt;
  return ContentView(depot, snapshot, library, key, number, record);
}

ContentView::ContentView(Depot& depot, State::Snapshot snapshot, const LibraryId& library,
                         std::shared_ptr<KeyHolder> key, NodeNumber number,
                         const FileRecord& record)
    : depot_(depot),
      snapshot_(std::move(snapshot)),
      library_(library),
      key_(std::move(key)),
      number_(number),
      record_(record) {
  snapshot_.scan_keys(record_key::extents_of(library, number),
                      [&](ByteView name) { extents_.insert(record_key::index_in(name)); });
}

// An extent of which all was written, as most are, without a copy between.
bool ContentView::read_whole(std::uint64_t index, Overlay& overlay) const {
  static const auto begin = [] {
    auto record = encode_extent({{0, extent_size}}, Bytes(extent_size));
    record.resize(record.size() - extent_size);
    return record;
  }();
  const auto room = overlay.room_for(index * extent_size);
  Bytes head(begin.size());
  if (room.empty() || !snapshot_.get(record_key::extent(library_, number_, index), head, room) ||
      head != begin)
    return false;
  overlay.filled(index * extent_size);
  return true;
}

void ContentView::read(std::uint64_t offset, MutableByteView out) {
  if (offset > record_.size || out.size() > record_.size - offset)
    throw Error(Errc::internal, "file: read past its end");
  Overlay overlay(offset, out, record_.base_limit);
  for (auto it = extents_.lower_bound(offset / extent_size);
       it != extents_.end() && *it * extent_size < offset + out.size(); ++it) {
    if (read_whole(*it, overlay)) continue;
    const auto value = snapshot_.get(record_key::extent(library_, number_, *it));
    if (!value) throw Error(Errc::corrupt, "state: an extent of an unsent file is missing");
    overlay.packed(*it * extent_size, decode_extent(*value));
  }
  for (const auto& gap : overlay.finish()) {
    if (!base_)
      base_ = std::make_unique<FileReader>(depot_, library_, key_->get(), record_.base,
                                           record_.base_size);
    if (base_->read(gap.offset, gap.out) != gap.out.size())
      throw Error(Errc::corrupt, "file: ends before its size");
  }
}

}  // namespace nacre
