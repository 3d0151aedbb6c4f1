// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.hpp"
#include "cli/mounted_path.hpp"
#include "cli/mounts.hpp"

namespace nacre {

Exit privacy(const PrivacyOptions& options, const Io& io) {
  const auto [mountpoint, inside] = find_mounted(options.path);
  return ask_mount(mountpoint,
                   {.words = {"privacy", inside, options.json ? "json" : "text"}, .secret = {}},
                   std::chrono::minutes(2), io, {.what = "privacy"});
}

}  // namespace nacre
