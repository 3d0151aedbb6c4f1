// SPDX-License-Identifier: Apache-2.0
//
// What inode numbers are derived from: the same for a name under the same parent at any time.
#pragma once

#include <cstdint>
#include <string_view>

namespace nacre {

inline std::uint64_t name_hash(std::uint64_t parent, std::string_view name) noexcept {
  std::uint64_t hash = parent * 0x9e3779b97f4a7c15U + 0xcbf29ce484222325U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash ^ hash >> 29U;
}

}  // namespace nacre
