// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "cli/commands.hpp"
#include "cli/folders.hpp"
#include "cli/mounts.hpp"
#include "fs/mountpoint.hpp"

namespace nacre {
namespace {

using Clock = std::chrono::steady_clock;

// Waits until `fd` says that `done` may hold now.  The kernel flags the table of mounts when it
// changes, and a pidfd when its process has ended: there is nothing to look at again and again.
template <class Done>
bool comes_true(const Fd& fd, short event, std::chrono::seconds time, Done done) {
  const auto until = Clock::now() + time;
  while (!done()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0 || fd.get() < 0) return false;
    pollfd poller = {.fd = fd.get(), .events = event, .revents = 0};
    ::poll(&poller, 1, static_cast<int>(left));
  }
  return true;
}

bool gone(const std::filesystem::path& mountpoint) {
  return mounted_type(mountpoint) != "fuse.nacre";
}

// A daemon that ends, so that a next mount finds its folders free.
class Daemon {
 public:
  explicit Daemon(pid_t pid)
      : fd_(pid > 0 ? static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)) : -1) {}

  bool ended_within(std::chrono::seconds time) const {
    const auto ended = [this] {
      pollfd poller = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
      return fd_.get() < 0 || ::poll(&poller, 1, 0) > 0;
    };
    return comes_true(fd_, POLLIN, time, ended);
  }

 private:
  Fd fd_;
};

}  // namespace

Exit umount(const UmountOptions& options, const Io& io) {
  const auto path = absolute_mountpoint(options.mountpoint);
  try {
    const Daemon daemon(control_peer(control_path(path)));
    const ControlRequest request{.words = {"umount", std::to_string(options.timeout)},
                                 .secret = std::nullopt};
    // Beyond the timeout, as long as it takes to write changes to this machine's disk.
    const auto said =
        ask_mount(options.mountpoint, request,
                  std::chrono::minutes(2) + std::chrono::seconds(options.timeout), io);
    if (said != Exit::ok) return said;
    const Fd table(::open("/proc/self/mounts", O_RDONLY | O_CLOEXEC));
    if (!comes_true(table, POLLPRI, std::chrono::seconds(30), [&] { return gone(path); }))
      throw Error(Errc::busy,
                  options.mountpoint + ": in use; close what uses it (fuser -vm shows it)");
    if (!daemon.ended_within(std::chrono::seconds(60)))
      throw Error(Errc::busy,
                  options.mountpoint + ": unmounted, but its daemon is still at work; see its log");
    return Exit::ok;
  } catch (const Error& e) {
    if (e.code() != Errc::unreachable) throw;
  }
  if (gone(path))
    throw Error(Errc::not_found, options.mountpoint + ": nothing of nacre is mounted there");
  unmount(path);
  return Exit::ok;
}

}  // namespace nacre
