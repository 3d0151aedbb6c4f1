// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <ostream>

#include "cli/commands.hpp"
#include "cli/if_interrupted.hpp"
#include "cli/mount_status.hpp"
#include "cli/mounted_path.hpp"
#include "cli/mounts.hpp"
#include "cli/progress.hpp"

namespace nacre {
namespace {

constexpr std::chrono::minutes to_look{10};  // at a large folder for the first time
constexpr std::chrono::minutes to_answer{2};

ControlRequest request_of(const char* verb, const std::string& path) {
  return {.words = {verb, path}, .secret = std::nullopt};
}

// How much of a pin is here.
Amount look_at(const MountedPath& place) {
  const auto status = ask_status(place.mountpoint, std::chrono::seconds(5));
  Amount amount;
  for (const auto& pin : status.pins) {
    const auto library =
        std::ranges::find(status.libraries, pin.library, &MountStatus::Library::id);
    if (library == status.libraries.end()) continue;
    // Under a mount of several libraries, a path begins with its library's name.
    const auto under = library->name + (pin.path.empty() ? "" : "/" + pin.path);
    if (pin.path != place.inside && under != place.inside) continue;
    amount.total = pin.bytes;
    amount.done = pin.blocks == 0 ? 0 : pin.bytes * pin.blocks_here / pin.blocks;
  }
  return amount;
}

Exit wait_until_here(const MountedPath& place, const std::string& path, const Io& io) {
  const IfInterrupted said(
      path + " stays pinned, and is fetched in the background; `nacre unpin` " + "lets it go");
  Progress progress(io.err, path);
  for (;;) {
    const auto reply =
        control_call(control_path(place.mountpoint), request_of("pinned", place.inside), to_answer);
    if (reply.status != 0) {
      io.err << "nacre: " << reply.text << '\n';
      return static_cast<Exit>(reply.status);
    }
    const auto line = reply.text.find('\n');
    if (reply.text.substr(0, line) == "complete") return Exit::ok;
    progress.show(look_at(place));
  }
}

// Each path; the first that fails ends it.
template <class One>
Exit for_each(const std::vector<std::string>& paths, One one) {
  for (const auto& path : paths)
    if (const auto exit = one(path); exit != Exit::ok) return exit;
  return Exit::ok;
}

}  // namespace

Exit pin(const PinOptions& options, const Io& io) {
  return for_each(options.paths, [&](const std::string& path) {
    const auto place = find_mounted(path);
    const auto exit =
        ask_mount(place.mountpoint, request_of("pin", place.inside), to_look, io, {.what = path});
    return exit != Exit::ok || options.no_wait ? exit : wait_until_here(place, path, io);
  });
}

Exit unpin(const UnpinOptions& options, const Io& io) {
  return for_each(options.paths, [&](const std::string& path) {
    const auto place = find_mounted(path);
    return ask_mount(place.mountpoint, request_of("unpin", place.inside), to_answer, io);
  });
}

Exit evict(const EvictOptions& options, const Io& io) {
  return for_each(options.paths, [&](const std::string& path) {
    const auto place = find_mounted(path);
    const IfInterrupted said("evict: it goes on to its end");
    return ask_mount(place.mountpoint, request_of("evict", place.inside), to_look, io,
                     {.what = "evict"});
  });
}

}  // namespace nacre
