// SPDX-License-Identifier: Apache-2.0
//
// Which entry of a table was used last: a table of turns beside it, whose keys
// are big-endian counters, so that the first is the oldest.  Used inside write
// transactions of the caller.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/bytes.hpp"
#include "cache/db.hpp"

namespace nacre {

using Turn = std::array<std::uint8_t, 8>;

inline Turn turn_of(std::uint64_t count) {
  Turn turn;
  for (auto byte = turn.rbegin(); byte != turn.rend(); ++byte, count >>= 8U)
    *byte = static_cast<std::uint8_t>(count);
  return turn;
}

// The count after the newest turn of the table.
inline std::uint64_t next_turn(const ReadTxn& txn, Table turns) {
  std::uint64_t next = 0;
  txn.scan_last(turns, [&](ByteView key, ByteView) {
    for (const auto byte : key) next = next << 8U | byte;
    ++next;
  });
  return next;
}

// The oldest turn's entry, or nothing.
inline std::optional<std::pair<Bytes, Bytes>> oldest(const ReadTxn& txn, Table turns) {
  std::optional<std::pair<Bytes, Bytes>> found;
  txn.scan(turns, {}, [&](ByteView turn, ByteView key) {
    found.emplace(Bytes(turn.begin(), turn.end()), Bytes(key.begin(), key.end()));
    return false;
  });
  return found;
}

}  // namespace nacre
