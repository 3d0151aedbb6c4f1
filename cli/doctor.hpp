// SPDX-License-Identifier: Apache-2.0
//
// What `nacre doctor` finds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace nacre {

struct Finding {
  enum class Verdict { ok, warn, fail };
  Verdict verdict = Verdict::ok;
  std::string what;  // was looked at
  std::string found;
  std::string advice;  // empty: nothing to do
};

// Times of the server and of this machine, in seconds.
Finding look_at_clock(std::optional<std::int64_t> server, std::int64_t here);
Finding look_at_version(const std::string& version);
// Of a folder that nacre writes to.
Finding look_at_space(const std::string& what, std::uint64_t available, std::uint64_t capacity);

}  // namespace nacre
