// SPDX-License-Identifier: Apache-2.0
#include "fs/mount_users.hpp"

#include <fstream>
#include <system_error>

#include "fs/shown_text.hpp"

namespace nacre {
namespace {

namespace files = std::filesystem;

constexpr int most_named = 5;

bool leads_into(const files::path& link, const std::string& mountpoint) {
  std::error_code none;
  const auto target = files::read_symlink(link, none).string();
  return target == mountpoint || target.starts_with(mountpoint + "/");
}

bool uses(const files::path& process, const std::string& mountpoint) {
  for (const auto* link : {"cwd", "root", "exe"})
    if (leads_into(process / link, mountpoint)) return true;
  std::error_code none;
  for (const auto& open : files::directory_iterator(process / "fd", none))
    if (leads_into(open.path(), mountpoint)) return true;
  for (const auto& mapped : files::directory_iterator(process / "map_files", none))
    if (leads_into(mapped.path(), mountpoint)) return true;
  return false;
}

}  // namespace

std::string users_of(const files::path& mountpoint) {
  std::string text;
  int named = 0;
  std::error_code none;
  for (const auto& entry : files::directory_iterator("/proc", none)) {
    const auto number = entry.path().filename().string();
    if (number.find_first_not_of("0123456789") != std::string::npos) continue;
    if (!uses(entry.path(), mountpoint.string())) continue;
    if (named++ == most_named) return text + ", and more";
    std::string name;
    std::getline(std::ifstream(entry.path() / "comm"), name);
    text += (text.empty() ? "" : ", ") + printable(name) + " (" + number + ")";
  }
  return text;
}

}  // namespace nacre
