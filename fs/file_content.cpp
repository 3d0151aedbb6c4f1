// SPDX-License-Identifier: Apache-2.0
#include "fs/file_content.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>

#include "base/error.hpp"

namespace nacre {
namespace {

constexpr std::uint64_t most_at_once = 64;  // extents that go to state, where memory is short
constexpr auto all = std::numeric_limits<std::size_t>::max();

void insert_range(ExtentRanges& ranges, std::uint32_t begin, std::uint32_t end) {
  ExtentRanges merged;
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

void clip_ranges(ExtentRanges& ranges, std::uint32_t end) {
  std::erase_if(ranges, [end](const auto& range) { return range.first >= end; });
  if (!ranges.empty()) ranges.back().second = std::min(ranges.back().second, end);
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
  for (const auto index : extents) saved_.set(index, version_);
  count_saved();
}

FileContent::~FileContent() {
  unload_all();
  store_.buffered -= counted_;
}

void FileContent::set_number(NodeNumber number) {
  const std::lock_guard lock(mutex_);
  if (number_ == 0) number_ = number;
}

FileContent::Extents::iterator FileContent::unload(Extents::iterator extent) {
  store_.buffered -= extent_size;
  return extents_.erase(extent);
}

void FileContent::unload_all() {
  for (auto it = extents_.begin(); it != extents_.end();) it = unload(it);
}

// Brings the budget to what saved_ takes now.
void FileContent::count_saved() {
  store_.buffered += saved_.bytes() - counted_;
  counted_ = saved_.bytes();
}

// The record of it.
Bytes FileContent::saved_extent(std::uint64_t index) const {
  auto value = store_.state.get(record_key::extent(library_, number_, index));
  if (!value) throw Error(Errc::corrupt, "state: an extent of an unsent file is missing");
  return *std::move(value);
}

// An extent in memory, with what state has of it.
FileContent::Extent& FileContent::load(std::uint64_t index) {
  if (const auto found = extents_.find(index); found != extents_.end()) return found->second;
  Extent extent;
  if (saved_.contains(index)) {
    const auto value = saved_extent(index);
    auto record = decode_extent(value);
    std::size_t at = 0;
    for (const auto& [begin, end] : record.valid) {
      std::memcpy(extent.data.room().data() + begin, record.data.data() + at, end - begin);
      at += end - begin;
    }
    extent.valid = std::move(record.valid);
  }
  store_.buffered += extent_size;
  return extents_.emplace(index, std::move(extent)).first->second;
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
    for (auto index = offset / extent_size; index * extent_size < offset + out.size(); ++index) {
      const auto start = index * extent_size;
      if (const auto found = extents_.find(index); found != extents_.end()) {
        overlay.whole(start, found->second.valid, found->second.data.room());
      } else if (saved_.contains(index)) {
        overlay.packed(start, decode_extent(saved_extent(index)));
      }
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

// How many extents go to state at a time where memory is short.
std::size_t FileContent::group() const {
  return std::clamp<std::uint64_t>(store_.budget() / 8 / extent_size, 1, most_at_once);
}

// Whether `bytes` more fit into the budget.  What is staged is in memory twice while LMDB writes
// it.
bool FileContent::fits(std::uint64_t bytes) const {
  return store_.buffered + 2 * store_.state.staged_bytes() + bytes <= store_.budget();
}

// Brings a group of extents to state.  False: it has none in memory.
bool FileContent::spill() {
  store_.state.check_room(group() * extent_size);
  bool any = false;
  {
    const std::lock_guard lock(mutex_);
    auto changes = take_unsaved(group());
    any = !changes.empty();
    if (any) {
      partial_ = true;
      changes.push_back(record());
      ticket_ = store_.state.stage(std::move(changes));
    }
  }
  store_.state.commit_staged();
  return any;
}

void FileContent::spill_before_save() {
  for (;;) {
    std::size_t extents = 0;
    {
      const std::lock_guard lock(mutex_);
      extents = extents_.size();
    }
    if (extents <= group() || fits(extents * extent_size)) return;
    spill();
  }
}

void FileContent::write(std::uint64_t offset, ByteView bytes) {
  if (bytes.size() > max_file || offset > max_file - bytes.size())
    throw Error(Errc::too_large, "write: past the largest file");
  while (!fits(group() * extent_size) && spill()) {
  }
  const std::lock_guard lock(mutex_);
  changed();
  for (std::size_t done = 0; done < bytes.size();) {
    const auto index = (offset + done) / extent_size;
    const auto begin = static_cast<std::uint32_t>((offset + done) % extent_size);
    const auto length =
        static_cast<std::uint32_t>(std::min<std::size_t>(bytes.size() - done, extent_size - begin));
    auto& extent = load(index);
    std::memcpy(extent.data.room().data() + begin, bytes.data() + done, length);
    insert_range(extent.valid, begin, begin + length);
    extent.version = version_since_save();
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
    auto gone = last;
    if (keep != 0) {
      ++gone;
      const bool saved = saved_.contains(last);
      if (saved || extents_.contains(last)) {
        auto& extent = load(last);
        clip_ranges(extent.valid, keep);
        extent.version = version_since_save();
        // What state has behind the new end must not come back when the file grows again.
        if (saved) {
          staged.push_back(take(last, extent));
          unload(extents_.find(last));
        }
      }
    }
    for (auto it = extents_.lower_bound(gone); it != extents_.end();) it = unload(it);
    saved_.erase_from(gone, [&](std::uint64_t index) { staged.push_back(removal(index)); });
    count_saved();
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
  if (!extent.valid.empty())
    saved_size_ =
        std::max<std::uint64_t>(saved_size_, index * extent_size + extent.valid.back().second);
  saved_.set(index, extent.version);
  return {record_key::extent(library_, number_, index),
          encode_extent(extent.valid, extent.data.room())};
}

State::Change FileContent::removal(std::uint64_t index) const {
  return {record_key::extent(library_, number_, index), {}};
}

void FileContent::drop_extents(std::vector<State::Change>& staged) {
  unload_all();
  saved_.erase_from(0, [&](std::uint64_t index) { staged.push_back(removal(index)); });
  count_saved();
}

std::vector<State::Change> FileContent::take_unsaved(std::size_t most) {
  std::vector<State::Change> changes;
  for (auto it = extents_.begin(); it != extents_.end() && changes.size() < most;) {
    changes.push_back(take(it->first, it->second));
    it = unload(it);
  }
  count_saved();
  return changes;
}

State::Ticket FileContent::save() {
  const std::lock_guard lock(mutex_);
  if (version_ == 0) return 0;
  if (version_ == saved_version_ && !partial_) return ticket_;
  if (!extents_.empty()) store_.state.check_room(extents_.size() * extent_size);
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
  drop_extents(changes);
  if (recorded_) changes.push_back({record_key::file(library_, number_), {}});
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
    drop_extents(staged);
    if (recorded_) staged.push_back({record_key::file(library_, number_), {}});
    recorded_ = partial_ = false;
    cuts_.clear();
    version_ = saved_version_ = 0;
    make_clean(id, size);
    return true;
  }
  // What has not changed since is in the published file.
  for (auto it = extents_.begin(); it != extents_.end();)
    it = it->second.version > version ? std::next(it) : unload(it);
  saved_.erase_up_to_version(version,
                             [&](std::uint64_t index) { staged.push_back(removal(index)); });
  count_saved();
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
