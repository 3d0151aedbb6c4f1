// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.hpp"
#include "cli/mounts.hpp"

namespace nacre {

Exit unlock(const UnlockOptions& options, const Io& io) {
  ControlRequest request{.words = {"unlock", options.library}, .secret = std::nullopt};
  request.secret = read_one_secret(options.password, "Password of " + options.library);
  // The daemon may have to fetch a block to be sure of the password.
  return ask_mount(options.mountpoint, request, std::chrono::minutes(2), io);
}

}  // namespace nacre
