// SPDX-License-Identifier: Apache-2.0
//
// Content-defined block borders, where real Seafile clients cut
// (seafile-protocol, section 2.2).  Streaming: holds 48 bytes and no more.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"

namespace nacre {

struct ChunkLimits {
  std::size_t min = std::size_t{6} << 20U;
  std::size_t average = std::size_t{8} << 20U;  // a power of two
  std::size_t max = std::size_t{10} << 20U;
};

class Chunker {
 public:
  explicit Chunker(const ChunkLimits& limits = {});

  struct Step {
    std::size_t taken;  // how many bytes from the front of `data` belong to the current chunk
    bool border;        // whether the chunk ends after them
  };
  // Call again with what was not taken.  What is left at the end of the file is
  // the last chunk.  Note that a file or remainder shorter than min is one chunk.
  Step feed(ByteView data);

 private:
  ChunkLimits limits_;
  std::size_t length_ = 0;  // of the current chunk so far
  std::uint32_t fingerprint_ = 0;
  std::array<std::uint8_t, 48> window_{};  // ring of the last bytes, by position
};

}  // namespace nacre
