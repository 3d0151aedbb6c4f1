// SPDX-License-Identifier: Apache-2.0
//
// Owned bytes, borrowed bytes, text seen as bytes, and lower-case hex.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nacre {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using MutableByteView = std::span<std::uint8_t>;

inline ByteView as_bytes(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view as_text(ByteView bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Writes 2 * bytes.size() lower-case digits to `out`.
inline void write_hex(ByteView bytes, char* out) noexcept {
  constexpr std::string_view digits = "0123456789abcdef";
  for (const auto byte : bytes) {
    *out++ = digits[byte >> 4U];
    *out++ = digits[byte & 15U];
  }
}

inline std::string to_hex(ByteView bytes) {
  std::string text(bytes.size() * 2, '\0');
  write_hex(bytes, text.data());
  return text;
}

// Fills `out` from exactly 2 * out.size() lower-case digits; false for anything else.
inline bool read_hex(std::string_view text, MutableByteView out) noexcept {
  if (text.size() != out.size() * 2) return false;
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

inline std::optional<Bytes> from_hex(std::string_view text) {
  Bytes bytes(text.size() / 2);
  if (!read_hex(text, bytes)) return std::nullopt;
  return bytes;
}

}  // namespace nacre
