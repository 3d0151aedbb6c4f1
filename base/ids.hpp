// SPDX-License-Identifier: Apache-2.0
//
// The two kinds of names that a Seafile server gives, parsed once.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace nacre {

// A commit, fs object or block: 20 bytes, written as 40 lower-case hex digits.
// All zeros names the empty file and the empty directory, which are never
// stored nor fetched (seafile-in-short, section 1).
struct ObjectId {
  std::array<std::uint8_t, 20> bytes{};

  static std::optional<ObjectId> parse(std::string_view hex) noexcept {
    ObjectId id;
    if (!read_hex(hex, id.bytes)) return std::nullopt;
    return id;
  }

  [[nodiscard]] std::string hex() const { return to_hex(bytes); }
  [[nodiscard]] bool is_empty() const noexcept { return *this == ObjectId{}; }

  friend bool operator==(const ObjectId&, const ObjectId&) = default;
  friend auto operator<=>(const ObjectId&, const ObjectId&) = default;
};

// A library: 36 characters, 8-4-4-4-12 lower-case hex digits.
class LibraryId {
 public:
  LibraryId() = default;  // all zeros: names no library

  static std::optional<LibraryId> parse(std::string_view text) noexcept {
    LibraryId id;
    if (text.size() != id.text_.size()) return std::nullopt;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
      const bool digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
      if (dash ? text[i] != '-' : !digit) return std::nullopt;
    }
    std::ranges::copy(text, id.text_.begin());
    return id;
  }

  [[nodiscard]] std::string_view text() const noexcept { return {text_.data(), text_.size()}; }
  [[nodiscard]] std::string str() const { return std::string(text()); }

  friend bool operator==(const LibraryId&, const LibraryId&) = default;
  friend auto operator<=>(const LibraryId&, const LibraryId&) = default;

 private:
  std::array<char, 36> text_ = {'0', '0', '0', '0', '0', '0', '0', '0', '-', '0', '0', '0',
                                '0', '-', '0', '0', '0', '0', '-', '0', '0', '0', '0', '-',
                                '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0', '0'};
};

}  // namespace nacre

template <>
struct std::hash<nacre::ObjectId> {
  // An id is a hash already: its first bytes are as good as any.
  std::size_t operator()(const nacre::ObjectId& id) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, id.bytes.data(), sizeof value);
    return value;
  }
};

template <>
struct std::hash<nacre::LibraryId> {
  std::size_t operator()(const nacre::LibraryId& id) const noexcept {
    return std::hash<std::string_view>()(id.text());
  }
};
