// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.hpp"
#include "cli/folders.hpp"
#include "cli/if_interrupted.hpp"
#include "cli/mount_status.hpp"
#include "cli/mounted_path.hpp"
#include "cli/mounts.hpp"

namespace nacre {

Exit sync(const SyncOptions& options, const Io& io) {
  auto mountpoint = options.mountpoint;
  ControlRequest request{.words = {"sync",
                                   options.confirm_deletes   ? "confirm-deletes"
                                   : options.accept_rollback ? "accept-rollback"
                                   : options.wait            ? "wait"
                                                             : "nowait",
                                   std::to_string(options.timeout)},
                         .secret = std::nullopt};
  if (options.confirm_deletes) {
    const auto place = find_mounted(mountpoint);
    mountpoint = place.mountpoint.string();
    request.words.push_back(place.inside);
  }
  Sending sending(absolute_mountpoint(mountpoint));
  const IfInterrupted said("sync: sending goes on in the background; `nacre status` shows it");
  // The daemon keeps to the timeout and says what is still waiting: give it time to.
  return ask_mount(mountpoint, request, std::chrono::seconds(options.timeout + 15), io,
                   {.what = "sending", .look = [&] { return sending.look(); }});
}

}  // namespace nacre
