// SPDX-License-Identifier: Apache-2.0
//
// Where the blocks of one file begin, as far as is known.  Of encrypted files
// only ciphertext lengths are recorded; a block's padding, 1 to 16 bytes, is
// learned from its content, or follows when the sum leaves no choice
// (seafile-protocol 2.5).  What is not certain is not told.
//
// Not locked: its owner guards it.  What contradicts the file's size, or what is known
// already, throws Error{corrupt} and changes nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace nacre {

class Layout {
 public:
  // `blocks` of at least one byte each, `size` bytes of plaintext together.
  Layout(std::size_t blocks, std::uint64_t size, bool encrypted);

  struct Place {
    std::size_t block;
    std::uint64_t start;  // of the block, in the file
  };
  // The block that holds `offset`, if it is certain where that begins.
  [[nodiscard]] std::optional<Place> find(std::uint64_t offset) const;

  // The first block whose length is not known; the number of blocks if all are.
  [[nodiscard]] std::size_t front() const noexcept { return front_; }
  [[nodiscard]] std::uint64_t length(std::size_t block) const {
    return length_[block];
  }  // 0: unknown
  [[nodiscard]] bool seen(std::size_t block) const { return seen_[block]; }
  [[nodiscard]] bool has_stored_sizes() const noexcept { return !stored_.empty(); }

  // What the remote says of stored lengths.
  void set_stored_sizes(std::span<const std::uint64_t> sizes);
  // What we know because we cut the file ourselves.
  void set_length(std::size_t block, std::uint64_t length);
  // What a block, checked against its id, turned out to be.
  void see(std::size_t block, std::uint64_t stored, std::uint64_t length);

  // Which blocks to see, in this order, to come nearer to find(offset): those that are certainly
  // needed, from the nearer end, at most `most` and at least one.  Needs stored sizes, and an
  // offset that is not found.
  [[nodiscard]] std::vector<std::size_t> to_see(std::uint64_t offset, std::size_t most) const;

 private:
  void check(std::size_t block, std::uint64_t length) const;
  void take(std::size_t block, std::uint64_t length);
  void conclude();
  [[nodiscard]] std::uint64_t unknown_bytes() const noexcept { return size_ - known_bytes_; }

  std::uint64_t size_;
  bool encrypted_;
  std::vector<std::uint64_t> length_;  // of the plaintext; 0: unknown
  std::vector<std::uint64_t> stored_;  // as the remote says; empty: not asked yet
  std::vector<bool> seen_;
  std::vector<std::uint64_t> begin_;  // true in [0, front_] and [back_, blocks]
  std::size_t front_ = 0, back_;
  std::size_t unknown_;                                  // blocks of unknown length …
  std::uint64_t unknown_stored_ = 0, unknown_most_ = 0;  // … stored bytes, most padding of those
  std::uint64_t known_bytes_ = 0;                        // what the others hold
  bool uniform_ = false;  // all but the last are stored in equal lengths
};

}  // namespace nacre
