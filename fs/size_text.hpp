// SPDX-License-Identifier: Apache-2.0
//
// Sizes as people read them: "1.2 MiB".
#pragma once

#include <cstdint>
#include <cstdio>
#include <iterator>
#include <string>

namespace nacre {

inline std::string size_text(std::uint64_t bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  auto value = static_cast<double>(bytes);
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text;
}

}  // namespace nacre
