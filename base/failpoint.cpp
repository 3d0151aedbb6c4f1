// SPDX-License-Identifier: Apache-2.0
#include "base/failpoint.hpp"

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string>

namespace nacre {
namespace {

struct Wanted {
  std::string name;
  std::atomic<int> left = 1;

  Wanted() noexcept try {
    const char* set = std::getenv("NACRE_FAILPOINT");
    if (set == nullptr) return;
    const std::string_view text(set);
    const auto colon = text.find(':');
    name = text.substr(0, colon);
    int count = 1;
    if (colon != std::string_view::npos)
      std::from_chars(text.data() + colon + 1, text.data() + text.size(), count);
    left = count;
  } catch (const std::exception&) {
    // Out of memory: as if nothing had been set.
  }
};

}  // namespace

void failpoint(std::string_view name) noexcept {
  static Wanted wanted;
  if (wanted.name.empty() || wanted.name != name) return;
  if (--wanted.left == 0) std::raise(SIGKILL);
}

}  // namespace nacre
