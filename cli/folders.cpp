// SPDX-License-Identifier: Apache-2.0
#include "cli/folders.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "base/error.hpp"
#include "base/fd.hpp"

namespace nacre {
namespace {

namespace stdfs = std::filesystem;

constexpr std::size_t max_file = std::size_t{64} << 10U;

[[noreturn]] void fail(const stdfs::path& path, int error) {
  const auto why = std::generic_category().message(error);
  const auto code = error == ENOSPC || error == EDQUOT  ? Errc::full
                    : error == EACCES || error == EPERM ? Errc::denied
                                                        : Errc::invalid;
  throw Error(code, path.string() + ": " + why + "; check the folder and its owner");
}

stdfs::path home() {
  const char* set = std::getenv("HOME");
  if (set != nullptr && set[0] == '/') return set;
  if (const passwd* user = ::getpwuid(::geteuid()); user != nullptr) return user->pw_dir;
  throw Error(Errc::invalid, "home folder: unknown; set HOME");
}

// A relative path in an XDG variable is to be ignored, says its specification.
stdfs::path folder(const char* variable, const char* otherwise) {
  const char* set = std::getenv(variable);
  return (set != nullptr && set[0] == '/' ? stdfs::path(set) : home() / otherwise) / "nacre";
}

// Reads into `out`; how much there was.
std::size_t read_all(const Fd& fd, MutableByteView out, const stdfs::path& path) {
  std::size_t have = 0;
  for (;;) {
    if (have == out.size())
      throw Error(Errc::invalid, path.string() + ": too large; is this the right file?");
    const auto n = ::read(fd.get(), out.data() + have, out.size() - have);
    if (n == 0) return have;
    if (n < 0 && errno != EINTR) fail(path, errno);
    if (n > 0) have += static_cast<std::size_t>(n);
  }
}

std::optional<Fd> open_to_read(const stdfs::path& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() >= 0) return fd;
  if (errno == ENOENT) return std::nullopt;
  fail(path, errno);
}

}  // namespace

stdfs::path config_folder() { return folder("XDG_CONFIG_HOME", ".config"); }
stdfs::path state_folder() { return folder("XDG_STATE_HOME", ".local/state"); }
stdfs::path cache_folder() { return folder("XDG_CACHE_HOME", ".cache"); }

void make_private_folder(const stdfs::path& path) {
  if (path.has_parent_path() && path != path.parent_path() && !stdfs::exists(path.parent_path()))
    make_private_folder(path.parent_path());
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail(path, errno);
  struct stat st = {};
  if (::stat(path.c_str(), &st) != 0) fail(path, errno);
  if (!S_ISDIR(st.st_mode)) fail(path, ENOTDIR);
}

void write_private_file(const stdfs::path& path, ByteView bytes) {
  make_private_folder(path.parent_path());
  auto name = path.string() + ".XXXXXX";
  const Fd fd(::mkostemp(name.data(), O_CLOEXEC));  // 0600
  if (fd.get() < 0) fail(path, errno);
  try {
    while (!bytes.empty()) {
      const auto n = ::write(fd.get(), bytes.data(), bytes.size());
      if (n < 0 && errno != EINTR) fail(path, errno);
      if (n > 0) bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    if (::fsync(fd.get()) != 0 || ::rename(name.c_str(), path.c_str()) != 0) fail(path, errno);
    // Its name too: with a device key everything unsent would be gone.
    const Fd folder(::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.get() < 0 || ::fsync(folder.get()) != 0) fail(path, errno);
  } catch (const Error&) {
    ::unlink(name.c_str());
    throw;
  }
}

std::optional<std::string> read_text_file(const stdfs::path& path) {
  const auto fd = open_to_read(path);
  if (!fd) return std::nullopt;
  std::string text(max_file, '\0');
  text.resize(read_all(*fd, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()}, path));
  return text;
}

std::optional<Secret> read_secret_file(const stdfs::path& path) {
  const auto fd = open_to_read(path);
  if (!fd) return std::nullopt;
  Secret room(max_file);
  return Secret::copy_of(room.bytes().first(read_all(*fd, room.bytes(), path)));
}

stdfs::path absolute_mountpoint(const std::string& given) {
  auto path = stdfs::absolute(given).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "there/" is "there"
  std::error_code unreadable;
  for (int links = 0; links < 40; ++links) {
    if (const auto folder = stdfs::canonical(path.parent_path(), unreadable); !unreadable)
      path = folder / path.filename();
    const auto target = stdfs::read_symlink(path, unreadable);
    if (unreadable) break;
    path = (path.parent_path() / target).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
  }
  return path;
}

}  // namespace nacre
