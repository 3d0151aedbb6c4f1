// SPDX-License-Identifier: Apache-2.0
#include "fs/file_content.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/error.hpp"

namespace nacre {
namespace {

using Ranges = Overlay::Ranges;

constexpr std::size_t saved_at_once = 64;  // extents, where memory is short
constexpr auto all = std::numeric_limits<std::size_t>::max();

void insert_range(Ranges& ranges, std::uint32_t begin, std::uint32_t end) {
  Ranges merged;
  for (const auto& range : ranges) {
    if (range.second < begin || range.first > end) {
      merged.push_back(range);
    } else {
      begin = std::min(begin, range.first);
      end = std::max(end, range.second);
    }
  }
  merged.insert(std::ranges::lower_bound(merged, std::pair{begin, end}), {begin, end});
  ranges = std::move(merged);
}

void clip_ranges(Ranges& ranges, std::uint32_t end) {
  std::erase_if(ranges, [end](const auto& range) { return range.first >= end; });
  if (!ranges.empty()) ranges.back().second = std::min(ranges.back().second, end);
}

ExtentRecord pack(const Ranges& valid, ByteView data) {
  ExtentRecord record{valid, {}};
  for (const auto& [begin, end] : valid) {
    const auto part = data.subspan(begin, end - begin);
    record.data.insert(record.data.end(), part.begin(), part.end());
  }
  return record;
}

}  // namespace

FileContent::FileContent(ContentStore& store, const LibraryId& library,
                         std::shared_ptr<KeyHolder> key, const ObjectId& id, std::uint64_t size)
    : store_(store),
      library_(library),
      key_(std::move(key)),
      base_(id),
      base_size_(size),
      base_limit_(size),
      size_(size),
      saved_size_(size) {}

FileContent::FileContent(ContentStore& store, const LibraryId& library,
                         std::shared_ptr<KeyHolder> key, NodeNumber number,
                         const FileRecord& record, const std::vector<std::uint64_t>& extents)
    : store_(store),
      library_(library),
      key_(std::move(key)),
      number_(number),
      base_(record.base),
      base_size_(record.base_size),
      base_limit_(record.base_limit),
      size_(record.size),
      // What a killed daemon had not saved whole is what it is now: other bytes than before.
      version_(record.partial ? store.next_version++ : record.version),
      saved_size_(record.size),
      saved_version_(record.version),
      recorded_(true),
      partial_(record.partial) {
  for (const auto index : extents) {
    auto& extent = extents_[index];
    extent.saved = true;
    extent.version = version_;
  }
}

FileContent::~FileContent() {
  for (auto& [index, extent] : extents_) unload(extent);
}

void FileContent::set_number(NodeNumber number) {
  const std::lock_guard lock(mutex_);
  if (number_ == 0) number_ = number;
}

void FileContent::unload(Extent& extent) {
  if (extent.data.empty()) return;
  store_.buffered -= extent.data.size();
  extent.data = Bytes();  // not = {}, which keeps the room
  extent.valid.clear();
  extent.unsaved = false;
}

// Brings an extent to memory, with what state has of it.
void FileContent::load(std::uint64_t index, Extent& extent) {
  if (!extent.data.empty()) return;
  Bytes data(extent_size);
  if (extent.saved) {
    const auto value = store_.state.get(record_key::extent(library_, number_, index));
    if (!value) throw Error(Errc::corrupt, "state: an extent of an unsent file is missing");
    auto record = decode_extent(*value);
    std::size_t at = 0;
    for (const auto& [begin, end] : record.valid) {
      std::memcpy(data.data() + begin, record.data.data() + at, end - begin);
      at += end - begin;
    }
    extent.valid = std::move(record.valid);
  }
  extent.data = std::move(data);
  store_.buffered += extent_size;
}

std::shared_ptr<FileReader> FileContent::reader() {
  if (!reader_)
    reader_ = std::make_shared<FileReader>(store_.depot, library_, key_->get(), base_, base_size_);
  return reader_;
}

std::size_t FileContent::read(std::uint64_t offset, MutableByteView out) {
  std::vector<Overlay::Gap> gaps;
  std::shared_ptr<FileReader> base;
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t size = size_;
    if (offset >= size) return 0;
    out = out.first(static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size - offset)));
    Overlay overlay(offset, out, base_limit_);
    for (auto it = extents_.lower_bound(offset / extent_size);
         it != extents_.end() && it->first * extent_size < offset + out.size(); ++it) {
      const auto& [index, extent] = *it;
      const auto start = index * extent_size;
      if (!extent.data.empty()) {
        overlay.whole(start, extent.valid, extent.data);
        continue;
      }
      const auto value = store_.state.get(record_key::extent(library_, number_, index));
      if (!value) throw Error(Errc::corrupt, "state: an extent of an unsent file is missing");
      overlay.packed(start, decode_extent(*value));
    }
    gaps = overlay.finish();
    if (!gaps.empty()) base = reader();
  }
  for (const auto& gap : gaps) {
    if (base->read(gap.offset, gap.out) != gap.out.size())
      throw Error(Errc::corrupt, "file: ends before its size");
  }
  return out.size();
}

// Keeps what is only in memory, here and on its way to state, within the budget.
void FileContent::make_room() {
  while (store_.buffered + store_.state.staged_bytes() > store_.buffer_limit) {
    store_.state.check_room(saved_at_once * extent_size);
    bool ours = false;
    {
      const std::lock_guard lock(mutex_);
      auto changes = take_unsaved(saved_at_once);
      ours = !changes.empty();
      if (ours) {
        partial_ = true;
        changes.push_back(record());
        ticket_ = store_.state.stage(std::move(changes));
      }
    }
    store_.state.commit_staged();
    if (!ours) return;  // what is left is other files'
  }
}

void FileContent::write(std::uint64_t offset, ByteView bytes) {
  if (bytes.size() > max_file || offset > max_file - bytes.size())
    throw Error(Errc::too_large, "write: past the largest file");
  make_room();
  const std::lock_guard lock(mutex_);
  changed();
  for (std::size_t done = 0; done < bytes.size();) {
    const auto index = (offset + done) / extent_size;
    const auto begin = static_cast<std::uint32_t>((offset + done) % extent_size);
    const auto length =
        static_cast<std::uint32_t>(std::min<std::size_t>(bytes.size() - done, extent_size - begin));
    auto& extent = extents_[index];
    load(index, extent);
    std::memcpy(extent.data.data() + begin, bytes.data() + done, length);
    insert_range(extent.valid, begin, begin + length);
    extent.unsaved = true;
    extent.version = version_;
    done += length;
  }
  size_ = std::max<std::uint64_t>(size_, offset + bytes.size());
}

void FileContent::truncate(std::uint64_t size) {
  if (size > max_file) throw Error(Errc::too_large, "truncate: past the largest file");
  const std::lock_guard lock(mutex_);
  changed();
  std::vector<State::Change> staged;
  if (size < size_) {
    while (!cuts_.empty() && cuts_.back().second >= size) cuts_.pop_back();
    cuts_.emplace_back(version_, size);
    const auto last = size / extent_size;
    const auto keep = static_cast<std::uint32_t>(size % extent_size);
    for (auto it = extents_.lower_bound(last); it != extents_.end();) {
      auto& [index, extent] = *it;
      if (index == last && keep != 0) {
        const bool saved = extent.saved;
        load(index, extent);
        clip_ranges(extent.valid, keep);
        extent.version = version_;
        extent.unsaved = true;
        // What state has behind the new end must not come back when the file grows again.
        if (saved) staged.push_back(take(index, extent));
        ++it;
      } else {
        forget(index, extent, staged);
        it = extents_.erase(it);
      }
    }
    base_limit_ = std::min(base_limit_, size);
    saved_size_ = std::min(saved_size_, size);
  }
  size_ = size;
  if (staged.empty()) return;
  partial_ = true;  // in one group, so that state never has a size without its extents
  staged.push_back(record());
  ticket_ = store_.state.stage(std::move(staged));
}

void FileContent::zero(std::uint64_t offset, std::uint64_t length) {
  static constexpr std::size_t piece = std::size_t{1} << 20U;
  const Bytes zeros(static_cast<std::size_t>(std::min<std::uint64_t>(length, piece)));
  for (std::uint64_t done = 0; done < length;) {
    const auto count = std::min<std::uint64_t>(zeros.size(), length - done);
    write(offset + done, ByteView(zeros).first(static_cast<std::size_t>(count)));
    done += count;
  }
}

State::Change FileContent::record() {
  recorded_ = true;
  return {
      record_key::file(library_, number_),
      encode(FileRecord{base_, base_size_, base_limit_, saved_size_, saved_version_, partial_})};
}

// The change that brings an extent to state, which has it from the staging on.
State::Change FileContent::take(std::uint64_t index, Extent& extent) {
  State::Change change{record_key::extent(library_, number_, index),
                       encode(pack(extent.valid, extent.data))};
  if (!extent.valid.empty())
    saved_size_ =
        std::max<std::uint64_t>(saved_size_, index * extent_size + extent.valid.back().second);
  extent.saved = true;
  unload(extent);
  return change;
}

void FileContent::forget(std::uint64_t index, Extent& extent, std::vector<State::Change>& staged) {
  unload(extent);
  if (extent.saved) staged.push_back({record_key::extent(library_, number_, index), {}});
}

std::vector<State::Change> FileContent::take_unsaved(std::size_t most) {
  std::vector<State::Change> changes;
  for (auto& [index, extent] : extents_) {
    if (changes.size() == most) break;
    if (extent.unsaved)
      changes.push_back(take(index, extent));
    else
      unload(extent);
  }
  return changes;
}

State::Ticket FileContent::save() {
  const std::lock_guard lock(mutex_);
  if (version_ == 0) return 0;
  if (version_ == saved_version_ && !partial_) return ticket_;
  std::uint64_t bytes = 0;
  for (const auto& [index, extent] : extents_) bytes += extent.unsaved ? extent.data.size() : 0;
  if (bytes != 0) store_.state.check_room(bytes);
  auto changes = take_unsaved(all);
  saved_size_ = size_;
  saved_version_ = version_;
  partial_ = false;
  changes.push_back(record());
  // Staged under the lock: a later save() must not be overtaken by this one.
  return ticket_ = store_.state.stage(std::move(changes));
}

std::vector<State::Change> FileContent::erase() {
  const std::lock_guard lock(mutex_);
  std::vector<State::Change> changes;
  for (auto& [index, extent] : extents_) forget(index, extent, changes);
  if (recorded_) changes.push_back({record_key::file(library_, number_), {}});
  extents_.clear();
  recorded_ = false;
  if (version_ != 0) changed();  // a batch that is under way must not take it for published
  return changes;
}

void FileContent::make_clean(const ObjectId& id, std::uint64_t size) {
  base_ = id;
  base_size_ = base_limit_ = size;
  size_ = saved_size_ = size;
  reader_.reset();
}

// The shortest that the file has been after that version.
std::uint64_t FileContent::least_size_since(std::uint64_t version) const {
  const auto first =
      std::ranges::upper_bound(cuts_, version, {}, &std::pair<std::uint64_t, std::uint64_t>::first);
  return first == cuts_.end() ? max_file : first->second;
}

bool FileContent::published(std::uint64_t version, const ObjectId& id, std::uint64_t size,
                            std::vector<State::Change>& staged) {
  const std::lock_guard lock(mutex_);
  if (version_ == version) {
    for (auto& [index, extent] : extents_) forget(index, extent, staged);
    extents_.clear();
    if (recorded_) staged.push_back({record_key::file(library_, number_), {}});
    recorded_ = partial_ = false;
    cuts_.clear();
    version_ = saved_version_ = 0;
    make_clean(id, size);
    return true;
  }
  // What has not changed since is in the published file.
  for (auto it = extents_.begin(); it != extents_.end();) {
    if (it->second.version > version) {
      ++it;
      continue;
    }
    forget(it->first, it->second, staged);
    it = extents_.erase(it);
  }
  base_ = id;
  base_size_ = size;
  base_limit_ = std::min(size, least_size_since(version));
  reader_.reset();
  if (recorded_) staged.push_back(record());
  return false;
}

void FileContent::replace(const ObjectId& id, std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  if (version_ != 0) throw Error(Errc::internal, "file: replaced under unsent changes");
  make_clean(id, size);
}

void FileContent::drop_reader() {
  const std::lock_guard lock(mutex_);
  reader_.reset();
}

}  // namespace nacre
