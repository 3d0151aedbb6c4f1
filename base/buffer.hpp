// SPDX-License-Identifier: Apache-2.0
//
// Room for bytes that are about to be written: unlike Bytes, not zeroed first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/bytes.hpp"

namespace nacre {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t room)
      : bytes_(std::make_unique_for_overwrite<std::uint8_t[]>(room)), room_(room) {}

  [[nodiscard]] MutableByteView room() noexcept { return {bytes_.get(), room_}; }
  // What of the room is in use: nothing at first.
  [[nodiscard]] ByteView bytes() const noexcept { return {bytes_.get(), used_}; }
  [[nodiscard]] std::size_t size() const noexcept { return used_; }
  void use(std::size_t size) noexcept { used_ = size; }  // at most the room

 private:
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t room_ = 0, used_ = 0;
};

}  // namespace nacre
