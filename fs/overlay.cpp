// SPDX-License-Identifier: Apache-2.0
#include "fs/overlay.hpp"

#include <algorithm>
#include <cstring>

namespace nacre {

// From where we are to `end` nothing was written.
void Overlay::pass_over(std::uint64_t end) {
  if (at_ >= end) return;
  const auto shown = std::clamp(base_limit_, at_, end);
  const auto part = [&](std::uint64_t from, std::uint64_t to) {
    return out_.subspan(static_cast<std::size_t>(from - offset_),
                        static_cast<std::size_t>(to - from));
  };
  if (shown > at_) gaps_.push_back({at_, part(at_, shown)});
  const auto zeros = part(shown, end);
  if (!zeros.empty()) std::memset(zeros.data(), 0, zeros.size());
  at_ = end;
}

void Overlay::lay(std::uint64_t begin, ByteView bytes) {
  const auto from = std::max(begin, at_);
  const auto to = std::min<std::uint64_t>(begin + bytes.size(), offset_ + out_.size());
  if (from >= to) return;
  pass_over(from);
  std::memcpy(out_.data() + (from - offset_), bytes.data() + (from - begin),
              static_cast<std::size_t>(to - from));
  at_ = to;
}

void Overlay::whole(std::uint64_t start, const ExtentRanges& valid, ByteView extent) {
  for (const auto& [begin, end] : valid) lay(start + begin, extent.subspan(begin, end - begin));
}

void Overlay::packed(std::uint64_t start, const ExtentView& record) {
  std::size_t at = 0;
  for (const auto& [begin, end] : record.valid) {
    lay(start + begin, record.data.subspan(at, end - begin));
    at += end - begin;
  }
}

MutableByteView Overlay::room_for(std::uint64_t start) const {
  const auto end = offset_ + out_.size();
  if (start < at_ || start > end || end - start < extent_size) return {};
  return out_.subspan(static_cast<std::size_t>(start - offset_), extent_size);
}

void Overlay::filled(std::uint64_t start) {
  pass_over(start);
  at_ = start + extent_size;
}

std::vector<Overlay::Gap> Overlay::finish() {
  pass_over(offset_ + out_.size());
  return std::move(gaps_);
}

}  // namespace nacre
