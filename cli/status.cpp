// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.hpp"
#include "cli/mounts.hpp"
#include "cli/watch.hpp"

namespace nacre {

Exit status(const StatusOptions& options, const Io& io) {
  if (options.watch) return watch(options.mountpoint, io);
  ControlRequest request{.words = {"status"}, .secret = std::nullopt};
  if (options.json) request.words.emplace_back("json");
  if (options.metrics) request.words.emplace_back("metrics");
  return ask_mount(options.mountpoint, request, std::chrono::seconds(30), io);
}

}  // namespace nacre
