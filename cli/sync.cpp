// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.hpp"
#include "cli/folders.hpp"
#include "cli/mount_status.hpp"
#include "cli/mounts.hpp"

namespace nacre {

Exit sync(const SyncOptions& options, const Io& io) {
  const ControlRequest request{.words = {"sync",
                                         options.accept_rollback ? "accept-rollback"
                                         : options.wait          ? "wait"
                                                                 : "nowait",
                                         std::to_string(options.timeout)},
                               .secret = std::nullopt};
  Sending sending(absolute_mountpoint(options.mountpoint));
  // The daemon keeps to the timeout and says what is still waiting: give it time to.
  return ask_mount(options.mountpoint, request, std::chrono::seconds(options.timeout + 15), io,
                   {.what = "sending", .look = [&] { return sending.look(); }});
}

}  // namespace nacre
