// SPDX-License-Identifier: Apache-2.0
//
// How the terminal is told of times, of numbers, and of what others named.
#pragma once

#include <array>
#include <cstdint>
#include <ctime>
#include <string>

namespace nacre {

// "2026-11-26 15:04", in local time.
inline std::string time_text(std::int64_t seconds) {
  if (seconds <= 0) return "-";
  const auto when = static_cast<std::time_t>(seconds);
  std::tm parts = {};
  ::localtime_r(&when, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M", &parts);
  return text.data();
}

// "1 file", "2 files".
inline std::string counted(std::uint64_t number, const char* one, const char* many) {
  return std::to_string(number) + " " + (number == 1 ? one : many);
}

// What others named, fit for a terminal.
inline std::string printable(std::string name) {
  for (auto& c : name)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return name;
}

}  // namespace nacre
