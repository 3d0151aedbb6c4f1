// SPDX-License-Identifier: Apache-2.0
#include "cli/mounted_path.hpp"

#include <optional>

#include "base/error.hpp"
#include "fs/mountpoint.hpp"

namespace nacre {
namespace {

namespace stdfs = std::filesystem;

// Of the innermost mount that an absolute path without links lies in.
std::optional<MountedPath> inside_of_mount(const stdfs::path& path) {
  std::optional<MountedPath> found;
  for (const auto& top : mounts_of_nacre()) {
    const auto inside = path.lexically_relative(top);
    if (inside.empty() || *inside.begin() == "..") continue;
    if (found && found->mountpoint.native().size() > top.native().size()) continue;
    found = {top, inside == "." ? "" : inside.string()};
  }
  return found;
}

}  // namespace

MountedPath find_mounted(const std::string& given) {
  auto path = stdfs::absolute(given).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (auto found = inside_of_mount(path)) return *std::move(found);
  // Links lead to mounts, and none are in them.
  std::error_code unreadable;
  const auto real = stdfs::weakly_canonical(path, unreadable);
  if (!unreadable) {
    if (auto found = inside_of_mount(real)) return *std::move(found);
  }
  throw Error(Errc::not_found, given + ": not in a mount of nacre; mount it with `nacre mount`");
}

}  // namespace nacre
