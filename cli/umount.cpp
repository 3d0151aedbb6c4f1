// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "cli/commands.hpp"
#include "cli/folders.hpp"
#include "cli/mount_status.hpp"
#include "cli/mounts.hpp"
#include "fs/mountpoint.hpp"

namespace nacre {
namespace {

using Clock = std::chrono::steady_clock;

bool gone(const std::filesystem::path& mountpoint) {
  return mounted_type(mountpoint) != "fuse.nacre";
}

// The kernel flags the table of mounts when it changes: nothing is looked at again and again.
bool gone_within(const std::filesystem::path& mountpoint, std::chrono::seconds time) {
  const Fd table(::open("/proc/self/mounts", O_RDONLY | O_CLOEXEC));
  const auto until = Clock::now() + time;
  while (!gone(mountpoint)) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0 || table.get() < 0) return false;
    pollfd poller = {.fd = table.get(), .events = POLLPRI, .revents = 0};
    ::poll(&poller, 1, static_cast<int>(left));
  }
  return true;
}

}  // namespace

Exit umount(const UmountOptions& options, const Io& io) {
  const auto path = absolute_mountpoint(options.mountpoint);
  try {
    const DaemonProcess daemon(control_peer(control_path(path)));
    const ControlRequest request{.words = {"umount", std::to_string(options.timeout)},
                                 .secret = std::nullopt};
    // Beyond the timeout, as long as it takes to write changes to this machine's disk.
    Sending sending(path);
    const auto said = ask_mount(options.mountpoint, request,
                                std::chrono::minutes(2) + std::chrono::seconds(options.timeout), io,
                                {.what = "sending", .look = [&] { return sending.look(); }});
    if (said != Exit::ok) return said;
    if (!gone_within(path, std::chrono::seconds(30)))
      throw Error(Errc::busy, options.mountpoint +
                                  ": its daemon has ended it, and it is still there; was it "
                                  "mounted on more than once? findmnt shows it");
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
