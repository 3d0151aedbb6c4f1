// SPDX-License-Identifier: Apache-2.0
//
// Written extents laid over a published file, for one read.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "fs/records.hpp"

namespace nacre {

class Overlay {
 public:
  // `out` is what is read from `offset` on, within the file's size; of the published file the
  // first `base_limit` bytes still show, and what lies behind them is zeros.
  Overlay(std::uint64_t offset, MutableByteView out, std::uint64_t base_limit) noexcept
      : offset_(offset), out_(out), base_limit_(base_limit), at_(offset) {}

  // In ascending order; `start` is where the extent begins in the file.
  void whole(std::uint64_t start, const ExtentRanges& valid, ByteView extent);  // all of its bytes
  void packed(std::uint64_t start, const ExtentView& record);  // those that are valid

  // Where an extent goes that has all of its bytes; empty: not all of it is read.  It is there once
  // filled() was called, in its turn.
  [[nodiscard]] MutableByteView room_for(std::uint64_t start) const;
  void filled(std::uint64_t start);

  // What the published file has to fill.
  struct Gap {
    std::uint64_t offset;  // in the file
    MutableByteView out;
  };
  std::vector<Gap> finish();

 private:
  void lay(std::uint64_t begin, ByteView bytes);
  void pass_over(std::uint64_t end);

  const std::uint64_t offset_;
  const MutableByteView out_;
  const std::uint64_t base_limit_;
  std::uint64_t at_;  // all before it is settled
  std::vector<Gap> gaps_;
};

}  // namespace nacre
