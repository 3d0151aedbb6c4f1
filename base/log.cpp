// SPDX-License-Identifier: Apache-2.0
#include "base/log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <system_error>

#include "base/error.hpp"

namespace nacre::log {
namespace {

std::atomic<Level> threshold = Level::info;
std::atomic<int> file = -1;  // stays open for ever once named: other threads may be writing

// "2026-11-23 10:15:02 " in local time; only a file needs it.
std::size_t write_time(std::array<char, 1024>& line) noexcept {
  const auto now = std::time(nullptr);
  std::tm when = {};
  ::localtime_r(&now, &when);
  return std::strftime(line.data(), line.size(), "%Y-%m-%d %H:%M:%S ", &when);
}

}  // namespace

void set_level(Level level) noexcept { threshold = level; }

void set_file(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    throw Error(Errc::invalid, path.string() + ": " + std::generic_category().message(errno) +
                                   "; it is where the mount writes its log");
  file = fd;
}

void write(Level level, std::string_view message) noexcept {
  if (level > threshold.load()) return;
  constexpr std::array names = {"error", "warning", "info", "debug"};
  const char* name = names[static_cast<std::size_t>(level)];
  const int fd = file.load();
  // One call each, so that lines of different threads do not mix.
  if (fd < 0) {
    std::fprintf(stderr, "nacre: %s: %.*s\n", name, static_cast<int>(message.size()),
                 message.data());
    return;
  }
  std::array<char, 1024> line{};
  const auto begun = write_time(line);
  const int n = std::snprintf(line.data() + begun, line.size() - begun - 1, "%s: %.*s", name,
                              static_cast<int>(message.size()), message.data());
  auto size = begun + (n < 0 ? 0 : static_cast<std::size_t>(n));
  if (size > line.size() - 2) size = line.size() - 2;
  line[size++] = '\n';
  [[maybe_unused]] const auto written = ::write(fd, line.data(), size);
}

}  // namespace nacre::log
