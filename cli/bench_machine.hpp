// SPDX-License-Identifier: Apache-2.0
//
// What this machine does in a second of what mounts need of it.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace nacre {

struct Speed {
  std::string key, what;
  double rate = 0;  // bytes a second
};

inline double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// On one processor.
std::vector<Speed> measure_ciphers(const std::filesystem::path& folder);
// A file in `folder`, which is gone afterwards, however this ends.
std::vector<Speed> measure_disk(const std::filesystem::path& folder);

}  // namespace nacre
