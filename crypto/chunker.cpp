// SPDX-License-Identifier: Apache-2.0
#include "crypto/chunker.hpp"

#include <algorithm>

namespace nacre {
namespace {

constexpr std::uint64_t polynomial = 0xbfe6b8a5bf378d83U;  // over GF(2); x^63 and below
constexpr std::size_t window = 48;
constexpr std::uint32_t break_value = 0x13;

// a · b mod (x^63 + …), carry-less.
constexpr std::uint64_t times(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const bool overflow = (product >> 62U & 1U) != 0;
    product <<= 1U;
    if (overflow) product ^= polynomial;
    if ((b >> static_cast<unsigned>(bit) & 1U) != 0) product ^= a;
  }
  return product;
}

// What the byte that leaves the window does to the fingerprint, cut to 32 bits as
// Seafile's own accumulator is: V of seafile-protocol, section 2.2.
constexpr std::array<std::uint32_t, 256> leaving_table() {
  // x^63 mod P: the polynomial without its highest term.
  constexpr std::uint64_t top = polynomial & ~(std::uint64_t{1} << 63U);
  std::array<std::uint64_t, 256> t{};
  for (std::uint64_t j = 0; j < 256; ++j) t[j] = times(top, j) ^ (j << 63U);
  const auto append = [&](std::uint64_t p) { return (p << 8U) ^ t[p >> 55U]; };
  std::uint64_t s = 1;
  for (std::size_t i = 1; i < window; ++i) s = append(s);
  std::array<std::uint32_t, 256> v{};
  for (std::uint64_t j = 0; j < 256; ++j) v[j] = static_cast<std::uint32_t>(append(times(s, j)));
  return v;
}

constexpr auto leaving = leaving_table();
static_assert(leaving[1] == 0xefacbb19U && leaving[255] == 0xba0020e5U);

constexpr std::uint32_t roll(std::uint32_t fingerprint, std::uint8_t out, std::uint8_t in) {
  return ((fingerprint << 8U) | in) ^ leaving[out];
}

}  // namespace

Chunker::Chunker(const ChunkLimits& limits) : limits_(limits) {}

Chunker::Step Chunker::feed(ByteView data) {
  const auto mask = static_cast<std::uint32_t>(limits_.average - 1);
  std::size_t at = 0;

  // Nothing before the first window decides anything.
  const auto first = limits_.min - window;
  if (length_ < first) {
    const auto skipped = std::min(data.size(), first - length_);
    at += skipped;
    length_ += skipped;
  }
  // The first window: its last four bytes are the fingerprint.
  while (length_ < limits_.min && at < data.size()) {
    const auto byte = data[at++];
    window_[length_++ % window] = byte;
    fingerprint_ = fingerprint_ << 8U | byte;
    if (length_ == limits_.min &&
        ((fingerprint_ & mask) == break_value || length_ >= limits_.max)) {
      length_ = 0;
      return {at, true};
    }
  }

  // The byte that leaves the window lies in an earlier piece at first, then in this one.
  const auto begin = at;
  const auto until = std::min(data.size(), at + (limits_.max - length_));
  auto fingerprint = fingerprint_;
  bool found = false;
  while (at < until && !found) {
    const auto oldest =
        at < window ? window_[(length_ + (at - begin)) % window] : data[at - window];
    fingerprint = roll(fingerprint, oldest, data[at++]);
    found = (fingerprint & mask) == break_value;
  }
  fingerprint_ = fingerprint;
  length_ += at - begin;
  if (found || length_ == limits_.max) {
    length_ = 0;
    return {at, true};
  }
  for (auto kept = std::max(begin, at - std::min(at, window)); kept < at; ++kept)
    window_[(length_ - (at - kept)) % window] = data[kept];
  return {at, false};
}

}  // namespace nacre
