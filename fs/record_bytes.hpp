// SPDX-License-Identifier: Apache-2.0
//
// The spelling of records in state: little-endian numbers, bytes and texts with a
// 32-bit length before them.  Reading past the end throws Error{corrupt}.
#pragma once

#include <algorithm>
#include <concepts>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "base/ids.hpp"

namespace nacre {

class RecordWriter {
 public:
  explicit RecordWriter(std::size_t size = 0) { bytes_.reserve(size); }

  template <std::unsigned_integral T>
  RecordWriter& number(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
      bytes_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    return *this;
  }
  RecordWriter& raw(ByteView bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  RecordWriter& text(std::string_view text) { return blob(as_bytes(text)); }
  RecordWriter& blob(ByteView bytes) {
    return number(static_cast<std::uint32_t>(bytes.size())).raw(bytes);
  }
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

class RecordReader {
 public:
  explicit RecordReader(ByteView bytes) : rest_(bytes) {}

  template <std::unsigned_integral T>
  T number() {
    const auto bytes = raw(sizeof(T));
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
      value = static_cast<T>(value | (static_cast<T>(bytes[i]) << (8 * i)));
    return value;
  }
  ByteView raw(std::size_t size) {
    if (size > rest_.size()) throw Error(Errc::corrupt, "state: a record ends too early");
    const auto taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  ByteView blob() { return raw(number<std::uint32_t>()); }
  std::string text() { return std::string(as_text(blob())); }
  ObjectId id() {
    ObjectId id;
    std::ranges::copy(raw(id.bytes.size()), id.bytes.begin());
    return id;
  }
  void finish() const {
    if (!rest_.empty()) throw Error(Errc::corrupt, "state: a record has too many bytes");
  }
  [[nodiscard]] ByteView rest() const { return rest_; }

 private:
  ByteView rest_;
};

}  // namespace nacre
