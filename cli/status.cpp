// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.hpp"
#include "cli/mounts.hpp"

namespace nacre {

Exit status(const StatusOptions& options, const Io& io) {
  ControlRequest request{.words = {"status"}, .secret = std::nullopt};
  if (options.json) request.words.emplace_back("json");
  return ask_mount(options.mountpoint, request, std::chrono::seconds(30), io);
}

}  // namespace nacre
