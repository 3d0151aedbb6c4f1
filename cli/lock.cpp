// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.hpp"
#include "cli/folders.hpp"
#include "cli/library_password.hpp"
#include "cli/mounts.hpp"

namespace nacre {

Exit lock(const LockOptions& options, const Io& io) {
  ControlRequest request{.words = {"lock"}, .secret = std::nullopt};
  if (!options.library.empty()) request.words.push_back(options.library);
  if (options.forget)
    forget_password(library_of_mount(absolute_mountpoint(options.mountpoint), options.library));
  return ask_mount(options.mountpoint, request, std::chrono::minutes(2), io);
}

}  // namespace nacre
