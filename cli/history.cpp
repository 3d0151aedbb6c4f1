// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.hpp"
#include "cli/mounted_path.hpp"
#include "cli/mounts.hpp"

namespace nacre {
namespace {

constexpr std::chrono::minutes longest{10};  // each commit is asked for by itself

const char* form(bool json) { return json ? "json" : "text"; }

// What takes as long as the server needs.
Exit ask(const char* what, const std::string& mountpoint, const ControlRequest& request,
         const Io& io) {
  return ask_mount(mountpoint, request, longest, io, {.what = what});
}

}  // namespace

Exit history(const HistoryOptions& options, const Io& io) {
  const auto [mountpoint, inside] = find_mounted(options.path);
  return ask("history", mountpoint,
             {.words = {"history", inside, form(options.json), std::to_string(options.limit),
                        options.before},
              .secret = std::nullopt},
             io);
}

Exit restore(const RestoreOptions& options, const Io& io) {
  const auto [mountpoint, inside] = find_mounted(options.path);
  std::string to;
  if (!options.to.empty()) {
    const auto target = find_mounted(options.to);
    if (target.mountpoint != mountpoint)
      throw UsageError("restore: " + options.to + ": in another mount; restore it here, and copy");
    to = target.inside;
  }
  return ask("restore", mountpoint,
             {.words = {"restore", inside, options.at, to}, .secret = std::nullopt}, io);
}

Exit du(const DuOptions& options, const Io& io) {
  const auto [mountpoint, inside] = find_mounted(options.path);
  return ask("du", mountpoint,
             {.words = {"du", inside, form(options.json)}, .secret = std::nullopt}, io);
}

}  // namespace nacre
