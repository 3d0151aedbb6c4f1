// SPDX-License-Identifier: Apache-2.0
#include "base/log.hpp"

#include <array>
#include <atomic>
#include <cstdio>

namespace nacre::log {
namespace {

std::atomic<Level> threshold = Level::info;

}  // namespace

void set_level(Level level) noexcept { threshold = level; }

void write(Level level, std::string_view message) noexcept {
  if (level > threshold.load()) return;
  constexpr std::array names = {"error", "warning", "info", "debug"};
  // One call, so that lines of different threads do not mix.
  std::fprintf(stderr, "nacre: %s: %.*s\n", names[static_cast<std::size_t>(level)],
               static_cast<int>(message.size()), message.data());
}

}  // namespace nacre::log
