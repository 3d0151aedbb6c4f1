// SPDX-License-Identifier: Apache-2.0
#include "cli/service.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>

#include "base/fd.hpp"
#include "base/log.hpp"
#include "fs/control.hpp"

namespace nacre {
namespace {

using std::chrono::microseconds;

std::optional<long> number_in(const char* variable) {
  const char* set = std::getenv(variable);
  if (set == nullptr) return std::nullopt;
  const std::string_view text = set;
  long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value <= 0) return std::nullopt;
  return value;
}

// How often the manager wants to hear of us; none where that is for another process.
std::optional<microseconds> watchdog_time() {
  if (const auto pid = number_in("WATCHDOG_PID"); pid && *pid != ::getpid()) return std::nullopt;
  const auto time = number_in("WATCHDOG_USEC");
  return time ? std::optional(microseconds(*time)) : std::nullopt;
}

bool answers(const std::filesystem::path& socket, std::chrono::seconds time) noexcept try {
  return control_call(socket, {.words = {"status"}, .secret = std::nullopt}, time).status == 0;
} catch (const std::exception& e) {
  log::error(std::string("watchdog: ") + e.what());
  return false;
}

}  // namespace

bool tell_manager(const std::string& state) noexcept {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un name = {};
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return false;
  const auto length = std::strlen(path);
  if (length >= sizeof name.sun_path) return false;
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path, length);
  if (path[0] == '@') name.sun_path[0] = '\0';  // an abstract one, of exactly this length
  const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return false;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  return ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
                  reinterpret_cast<const sockaddr*>(&name),
                  size) == static_cast<ssize_t>(state.size());
}

struct Watchdog::Impl {
  Impl(const std::filesystem::path& mountpoint, microseconds time)
      : thread([this, socket = control_path(mountpoint), time](const std::stop_token& stop) {
          const auto patience = std::max(
              std::chrono::seconds(1), std::chrono::duration_cast<std::chrono::seconds>(time / 3));
          std::unique_lock lock(mutex);
          while (!stop.stop_requested()) {
            lock.unlock();
            if (answers(socket, patience)) tell_manager("WATCHDOG=1");
            lock.lock();
            woken.wait_for(lock, stop, time / 3, [] { return false; });
          }
        }) {}

  std::mutex mutex;
  std::condition_variable_any woken;
  std::jthread thread;  // last: ends first
};

Watchdog::Watchdog(const std::filesystem::path& mountpoint) {
  if (const auto time = watchdog_time()) impl_ = std::make_unique<Impl>(mountpoint, *time);
}

Watchdog::~Watchdog() = default;

}  // namespace nacre
