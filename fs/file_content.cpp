// SPDX-License-Identifier: Apache-2.0
#include "fs/file_content.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/error.hpp"

namespace nacre {
namespace {

using Ranges = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

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
      size_(size) {}

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
      version_(1),
      recorded_(true) {
  for (const auto index : extents) extents_[index].saved = true;
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
  extent.data = {};
  extent.valid.clear();
  extent.unsaved = false;
}

// Brings an extent to memory, with what state has of it.
void FileContent::load(std::uint64_t index, Extent& extent) {
  if (!extent.data.empty()) return;
  Bytes data(extent_size);
  if (extent.saved) {
    const auto sealed = store_.state.get(record_key::extent(library_, number_, index));
    if (!sealed) throw Error(Errc::corrupt, "state: an extent of an unsent file is missing");
    const auto record = decode_extent(*sealed);
    std::size_t at = 0;
    for (const auto& [begin, end] : record.valid) {
      if (end > extent_size) throw Error(Errc::corrupt, "state: an extent is too long");
      std::memcpy(data.data() + begin, record.data.data() + at, end - begin);
      at += end - begin;
    }
    extent.valid = record.valid;
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
  std::vector<Gap> gaps;  // what the published file has to fill
  std::shared_ptr<FileReader> base;
  std::size_t total = 0;
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t size = size_;
    if (offset >= size) return 0;
    total = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size - offset));

    const auto gap = [&](std::uint64_t begin, std::uint64_t end) {
      if (begin >= end) return;
      const auto at = static_cast<std::size_t>(begin - offset);
      const auto shown = std::clamp(base_limit_, begin, end);
      if (shown > begin) {
        const auto length = static_cast<std::size_t>(shown - begin);
        if (!gaps.empty() && gaps.back().at + gaps.back().length == at)
          gaps.back().length += length;
        else
          gaps.push_back({begin, at, length});
      }
      std::memset(out.data() + (shown - offset), 0, static_cast<std::size_t>(end - shown));
    };

    const auto end = offset + total;
    auto position = offset;
    for (auto it = extents_.lower_bound(offset / extent_size);
         it != extents_.end() && it->first * extent_size < end; ++it) {
      auto& [index, extent] = *it;
      const auto start = index * extent_size;
      ExtentRecord saved;
      if (extent.data.empty()) {
        const auto bytes = store_.state.get(record_key::extent(library_, number_, index));
        if (!bytes) throw Error(Errc::corrupt, "state: an extent of an unsent file is missing");
        saved = decode_extent(*bytes);
      }
      std::size_t packed = 0;
      for (const auto& [from, to] : extent.data.empty() ? saved.valid : extent.valid) {
        const auto begin = std::max(position, start + from), stop = std::min(end, start + to);
        if (begin < stop) {
          gap(position, begin);
          const auto* source =
              extent.data.empty() ? saved.data.data() + packed - from : extent.data.data();
          std::memcpy(out.data() + (begin - offset), source + (begin - start),
                      static_cast<std::size_t>(stop - begin));
          position = stop;
        }
        packed += to - from;
      }
    }
    gap(position, end);
    if (!gaps.empty()) base = reader();
  }
  for (const auto& gap : gaps) {
    if (base->read(gap.offset, out.subspan(gap.at, gap.length)) != gap.length)
      throw Error(Errc::corrupt, "file: ends before its size");
  }
  return total;
}

void FileContent::write(std::uint64_t offset, ByteView bytes) {
  if (bytes.size() > max_file || offset > max_file - bytes.size())
    throw Error(Errc::too_large, "write: past the largest file");
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t done = 0; done < bytes.size();) {
      const auto index = (offset + done) / extent_size;
      const auto begin = static_cast<std::uint32_t>((offset + done) % extent_size);
      const auto length = static_cast<std::uint32_t>(
          std::min<std::size_t>(bytes.size() - done, extent_size - begin));
      auto& extent = extents_[index];
      load(index, extent);
      std::memcpy(extent.data.data() + begin, bytes.data() + done, length);
      insert_range(extent.valid, begin, begin + length);
      extent.unsaved = true;
      done += length;
    }
    size_ = std::max<std::uint64_t>(size_, offset + bytes.size());
    changed();
  }
  spill_if_needed();
}

void FileContent::truncate(std::uint64_t size) {
  if (size > max_file) throw Error(Errc::too_large, "truncate: past the largest file");
  std::vector<State::Change> erased;
  const std::lock_guard lock(mutex_);
  if (size < size_) {
    const auto last = size / extent_size;
    const auto keep = static_cast<std::uint32_t>(size % extent_size);
    for (auto it = extents_.lower_bound(last); it != extents_.end();) {
      auto& [index, extent] = *it;
      if (index == last && keep != 0) {
        load(index, extent);
        clip_ranges(extent.valid, keep);
        extent.unsaved = true;
        ++it;
        continue;
      }
      unload(extent);
      if (extent.saved) erased.push_back({record_key::extent(library_, number_, index), {}});
      it = extents_.erase(it);
    }
    base_limit_ = std::min(base_limit_, size);
  }
  size_ = size;
  changed();
  if (!erased.empty()) {
    // With the record, so that state never has a size without its extents.
    recorded_ = true;
    erased.push_back({record_key::file(library_, number_), encode(record())});
    store_.state.stage(std::move(erased));
  }
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

FileRecord FileContent::record() const { return {base_, base_size_, base_limit_, size_}; }

// Memory is given up once the values are staged: state has them from then on.
std::vector<State::Change> FileContent::take_unsaved() {
  std::vector<State::Change> changes;
  for (auto& [index, extent] : extents_) {
    if (extent.unsaved) {
      changes.push_back(
          {record_key::extent(library_, number_, index), encode(pack(extent.valid, extent.data))});
      extent.saved = true;
    }
    unload(extent);
  }
  changes.push_back({record_key::file(library_, number_), encode(record())});
  recorded_ = true;
  return changes;
}

State::Ticket FileContent::save() {
  const std::lock_guard lock(mutex_);
  if (version_ == 0) return 0;
  // Staged under the lock: a later save() must not be overtaken by this one.
  return store_.state.stage(take_unsaved());
}

void FileContent::spill_if_needed() {
  if (store_.buffered <= store_.buffer_limit) return;
  store_.state.commit(save());
}

State::Ticket FileContent::erase() {
  const std::lock_guard lock(mutex_);
  std::vector<State::Change> changes;
  for (auto& [index, extent] : extents_) {
    unload(extent);
    if (extent.saved) changes.push_back({record_key::extent(library_, number_, index), {}});
  }
  if (recorded_) changes.push_back({record_key::file(library_, number_), {}});
  extents_.clear();
  recorded_ = false;
  changed();  // a batch that is just reading it must not take what it reads for the file
  return changes.empty() ? 0 : store_.state.stage(std::move(changes));
}

bool FileContent::published(std::uint64_t version, const ObjectId& id, std::uint64_t size,
                            std::vector<State::Change>& erased) {
  const std::lock_guard lock(mutex_);
  if (version_ != version) return false;
  for (auto& [index, extent] : extents_) {
    unload(extent);
    if (extent.saved) erased.push_back({record_key::extent(library_, number_, index), {}});
  }
  extents_.clear();
  if (recorded_) erased.push_back({record_key::file(library_, number_), {}});
  recorded_ = false;
  base_ = id;
  base_size_ = base_limit_ = size;
  size_ = size;
  version_ = 0;
  reader_.reset();
  return true;
}

void FileContent::replace(const ObjectId& id, std::uint64_t size) {
  const std::lock_guard lock(mutex_);
  if (version_ != 0) throw Error(Errc::internal, "file: replaced under unsent changes");
  base_ = id;
  base_size_ = base_limit_ = size;
  size_ = size;
  reader_.reset();
}

void FileContent::drop_reader() {
  const std::lock_guard lock(mutex_);
  reader_.reset();
}

}  // namespace nacre
