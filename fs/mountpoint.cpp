// SPDX-License-Identifier: Apache-2.0
#include "fs/mountpoint.hpp"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

#include "base/error.hpp"
#include "fs/fusermount.hpp"
#include "fs/mount_users.hpp"

namespace nacre {
namespace {

namespace files = std::filesystem;

constexpr std::string_view our_type = "fuse.nacre";

Error error_of(int code, const files::path& mountpoint, const std::string& doing,
               const std::string& remedy) {
  const auto kind = code == EACCES || code == EPERM ? Errc::denied : Errc::invalid;
  return Error(kind, mountpoint.string() + ": cannot " + doing + ": " +
                         std::generic_category().message(code) + "; " + remedy);
}

// mountinfo writes space, tab, newline and backslash as \ooo.
std::string unescaped(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain.push_back(static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8)));
      i += 3;
    } else {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

// The kernel's table of mounts, oldest first.
template <class Visit>
void read_table(Visit visit) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string skipped, where, word, source, options;
    words >> skipped >> skipped >> skipped >> skipped >> where;
    while (words >> word && word != "-") continue;  // optional fields end with a dash
    if (words >> word >> source >> options) visit(unescaped(where), word, options);
  }
}

// Errno, or 0 when it is done.  What a sandbox would end is its own view of the mount.
int unmount_ourselves(const files::path& mountpoint, int flags) {
  if (has_fusermount_helper()) return EPERM;
  return umount2(mountpoint.c_str(), flags | UMOUNT_NOFOLLOW) == 0 ? 0 : errno;
}

void clear_dead_mount(const files::path& mountpoint) {
  if (unmount_ourselves(mountpoint, MNT_DETACH) == 0) return;
  if (!unmount_by_fusermount(mountpoint, Unmount::at_once)) return;
  throw Error(Errc::busy, mountpoint.string() +
                              ": a mount without its daemon is in the way and cannot be cleared; "
                              "run: fusermount3 -u -z " +
                              mountpoint.string());
}

// Whether a mount of ours has lost its daemon.  The kernel may still know the attributes of its
// top, so lstat() would not tell; statfs() is always asked of the daemon.
bool is_dead(const files::path& mountpoint) {
  return mounted_type(mountpoint) == our_type && has_lost_its_daemon(mountpoint);
}

}  // namespace

bool has_lost_its_daemon(const files::path& mountpoint) {
  struct statfs st = {};
  return statfs(mountpoint.c_str(), &st) != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

std::optional<std::string> mounted_type(const files::path& mountpoint) {
  std::error_code code;
  const auto path = files::weakly_canonical(mountpoint.parent_path(), code) / mountpoint.filename();
  std::optional<std::string> newest;
  read_table([&](const std::string& where, const std::string& type, const std::string&) {
    if (where == path.string()) newest = type;
  });
  return newest;
}

std::vector<files::path> mounts_of_nacre() {
  const auto ours = ",user_id=" + std::to_string(geteuid()) + ",";
  std::vector<files::path> found;
  read_table([&](const std::string& where, const std::string& type, const std::string& options) {
    if (type == our_type && ("," + options + ",").find(ours) != std::string::npos)
      found.emplace_back(where);
  });
  return found;
}

void check_mountpoint(const files::path& mountpoint) {
  if (is_dead(mountpoint)) clear_dead_mount(mountpoint);
  struct stat st = {};
  const int rc = lstat(mountpoint.c_str(), &st);
  if (rc != 0 && errno == ENOENT)
    throw Error(
        Errc::not_found,
        mountpoint.string() + ": does not exist; create it first: mkdir -p " + mountpoint.string());
  if (rc != 0)
    throw error_of(errno, mountpoint, "look at it", "is another mount on it whose program died?");
  if (!S_ISDIR(st.st_mode))
    throw Error(Errc::not_directory,
                mountpoint.string() +
                    ": not a directory; name an empty directory itself to mount on, no link to it");
  const auto mounted = mounted_type(mountpoint);
  // An automount point is there to be mounted on; to read it would wait for what we are to do.
  if (mounted == "autofs") return;
  if (mounted)
    throw Error(Errc::busy, mountpoint.string() + ": already a mount; end it first (nacre umount " +
                                mountpoint.string() + ") or choose another directory");
  std::error_code code;
  const files::directory_iterator first(mountpoint, code);
  if (code) throw error_of(code.value(), mountpoint, "read it", "choose a directory of yours");
  if (first != files::directory_iterator())
    throw Error(Errc::not_empty, mountpoint.string() +
                                     ": not empty; choose an empty directory, since what is in "
                                     "it would be hidden");
}

void unmount(const files::path& mountpoint) {
  const int error = unmount_ourselves(mountpoint, 0);
  if (error == 0 || error == EINVAL) return;
  const auto complaint =
      error == EPERM ? unmount_by_fusermount(mountpoint, Unmount::when_unused) : std::nullopt;
  if (error == EPERM && !complaint) return;
  // Somebody was faster?  A helper has looked: a sandbox need not see the mount.
  if (!has_fusermount_helper() && !mounted_type(mountpoint)) return;
  if (error != EBUSY && (!complaint || complaint->find("busy") == std::string::npos))
    throw Error(error == EPERM ? Errc::denied : Errc::invalid,
                mountpoint.string() + ": cannot end it: " +
                    complaint.value_or(std::generic_category().message(error)));
  const auto users = users_of(mountpoint);
  throw Error(Errc::busy, mountpoint.string() + ": in use" +
                              (users.empty() ? "; close what uses it (fuser -vm may show it)"
                                             : " by " + users + "; close that") +
                              ", and try again");
}

}  // namespace nacre
