// SPDX-License-Identifier: Apache-2.0
#include "fs/layout.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"
#include "crypto/library_key.hpp"
#include "remote/objects.hpp"

namespace nacre {
namespace {

// No block is empty, so one of 16 stored bytes has at most 15 of padding.
constexpr std::uint64_t most_padding(std::uint64_t stored) {
  return std::min<std::uint64_t>(LibraryKey::cipher_block, stored - 1);
}

[[noreturn]] void disagree(const std::string& why) {
  throw Error(Errc::corrupt, "blocks and size of a file do not agree: " + why +
                                 "; have the library checked on the server");
}

}  // namespace

Layout::Layout(std::size_t blocks, std::uint64_t size, bool encrypted)
    : size_(size), encrypted_(encrypted), back_(blocks), unknown_(blocks) {
  if (blocks > size || (blocks == 0 && size != 0)) {
    disagree(std::to_string(blocks) + " blocks for " + std::to_string(size) + " bytes");
  }
  length_.resize(blocks);
  seen_.resize(blocks);
  begin_.resize(blocks + 1);
  begin_.back() = size;
  conclude();
}

std::optional<Layout::Place> Layout::find(std::uint64_t offset) const {
  const auto within = [&](std::size_t first, std::size_t last) {
    const auto from = begin_.begin();
    const auto next = std::upper_bound(from + static_cast<std::ptrdiff_t>(first),
                                       from + static_cast<std::ptrdiff_t>(last) + 1, offset);
    return Place{static_cast<std::size_t>(next - from) - 1, *(next - 1)};
  };
  if (offset >= size_) return std::nullopt;
  if (offset < begin_[front_]) return within(0, front_);
  if (offset >= begin_[back_]) return within(back_, length_.size());
  const std::uint64_t at_least =
      stored_.empty() ? 1 : stored_[front_] - most_padding(stored_[front_]);
  if (offset - begin_[front_] < at_least) return Place{front_, begin_[front_]};
  return std::nullopt;
}

void Layout::set_stored_sizes(std::span<const std::uint64_t> sizes) {
  if (has_stored_sizes()) return;
  if (sizes.size() != length_.size()) {
    disagree(std::to_string(sizes.size()) + " sizes for " + std::to_string(length_.size()) +
             " blocks");
  }
  std::uint64_t sum = 0, unknown = 0, unknown_most = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto stored = sizes[i];
    if (stored == 0 || stored > max_block ||
        (encrypted_ && stored % LibraryKey::cipher_block != 0)) {
      disagree("a block of " + std::to_string(stored) + " bytes");
    }
    sum += stored;
    if (length_[i] == 0) {
      unknown += stored;
      unknown_most += most_padding(stored);
    } else if (stored != (encrypted_ ? LibraryKey::stored_size(length_[i]) : length_[i])) {
      disagree("a block is not as long as the server says");
    }
  }
  const std::uint64_t padding = unknown - unknown_bytes();  // huge, if there is too little
  if (encrypted_ ? padding < unknown_ || padding > unknown_most : padding != 0) {
    disagree("blocks hold " + std::to_string(sum) + " bytes, the file " + std::to_string(size_));
  }
  stored_.assign(sizes.begin(), sizes.end());
  unknown_stored_ = unknown;
  unknown_most_ = unknown_most;
  uniform_ = stored_.size() > 2 &&
             std::all_of(stored_.begin(), stored_.end() - 1,
                         [&](std::uint64_t size) { return size == stored_.front(); });
  conclude();
}

void Layout::set_length(std::size_t block, std::uint64_t length) {
  check(block, length);
  if (length_[block] == 0) take(block, length);
  conclude();
}

void Layout::see(std::size_t block, std::uint64_t stored, std::uint64_t length) {
  if (has_stored_sizes() && stored_[block] != stored)
    disagree("a block is not as long as the server says");
  set_length(block, length);
  seen_[block] = true;
}

void Layout::check(std::size_t block, std::uint64_t length) const {
  if (length_[block] != 0) {
    if (length_[block] != length) {
      disagree("a block holds " + std::to_string(length) + " bytes instead of " +
               std::to_string(length_[block]));
    }
    return;
  }
  const std::uint64_t others = unknown_ - 1;
  if (length == 0 || length > unknown_bytes() || unknown_bytes() - length < others ||
      (others == 0 && unknown_bytes() != length)) {
    disagree("a block holds " + std::to_string(length) + " bytes");
  }
  if (!has_stored_sizes()) return;
  if (stored_[block] != (encrypted_ ? LibraryKey::stored_size(length) : length)) {
    disagree("a block is not as long as the server says");
  }
  const std::uint64_t rest = unknown_stored_ - stored_[block] - (unknown_bytes() - length);
  if (encrypted_ && (rest < others || rest > unknown_most_ - most_padding(stored_[block]))) {
    disagree("no padding explains the sizes");
  }
}

void Layout::take(std::size_t block, std::uint64_t length) {
  length_[block] = length;
  known_bytes_ += length;
  --unknown_;
  if (!has_stored_sizes()) return;
  unknown_stored_ -= stored_[block];
  unknown_most_ -= most_padding(stored_[block]);
}

// Draws every conclusion that leaves no choice.
void Layout::conclude() {
  const auto take_all = [&](auto length_of) {
    for (std::size_t i = 0; i < length_.size(); ++i) {
      if (length_[i] == 0) take(i, length_of(i));
    }
  };
  if (unknown_ == 1) {
    take_all([&](std::size_t) { return unknown_bytes(); });
  } else if (unknown_ > 0 && has_stored_sizes()) {
    const std::uint64_t padding = unknown_stored_ - unknown_bytes();  // of all the unknown ones
    if (padding == 0)
      take_all([&](std::size_t i) { return stored_[i]; });
    else if (padding == unknown_)
      take_all([&](std::size_t i) { return stored_[i] - 1; });
    else if (padding == unknown_most_)
      take_all([&](std::size_t i) { return stored_[i] - most_padding(stored_[i]); });
  }
  for (; front_ < back_ && length_[front_] != 0; ++front_) {
    begin_[front_ + 1] = begin_[front_] + length_[front_];
  }
  for (; back_ > front_ && length_[back_ - 1] != 0; --back_) {
    begin_[back_ - 1] = begin_[back_] - length_[back_ - 1];
  }
}

std::vector<std::size_t> Layout::to_see(std::uint64_t offset, std::size_t most) const {
  // Fixed-size blocks, as a server cuts them: the last one's padding tells all the others'.
  if (uniform_ && length_.back() == 0) return {length_.size() - 1};
  const auto longest = [&](std::size_t i) { return length_[i] != 0 ? length_[i] : stored_[i] - 1; };
  std::vector<std::size_t> wanted;
  if (offset - begin_[front_] <= begin_[back_] - offset) {
    std::uint64_t at_most = begin_[front_];  // where block i begins
    for (auto i = front_; i < back_ && wanted.size() < most && at_most <= offset; ++i) {
      if (length_[i] == 0) wanted.push_back(i);
      at_most += longest(i);
    }
  } else {
    std::uint64_t at_least = begin_[back_];  // where block i ends
    for (auto i = back_; i > front_ && wanted.size() < most && at_least > offset; --i) {
      if (length_[i - 1] == 0) wanted.push_back(i - 1);
      at_least -= std::min(at_least, longest(i - 1));
    }
  }
  return wanted;
}

}  // namespace nacre
