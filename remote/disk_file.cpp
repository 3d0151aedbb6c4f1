// SPDX-License-Identifier: Apache-2.0
#include "remote/disk_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "crypto/random.hpp"

namespace nacre {

namespace {

[[noreturn]] void fail_reading(const std::filesystem::path& path, int error) {
  const auto what = path.string() + ": cannot be read: " + std::strerror(error);
  throw Error(error == EACCES || error == EPERM ? Errc::denied : Errc::corrupt, what);
}

[[noreturn]] void fail_writing(const std::filesystem::path& path, int error) {
  const auto what = path.string() + ": cannot be written: " + std::strerror(error);
  switch (error) {
    case ENOSPC:
    case EDQUOT: throw Error(Errc::full, what + "; make room on that disk");
    case EROFS:
    case EACCES:
    case EPERM: throw Error(Errc::read_only, what);
    default: throw Error(Errc::internal, what);
  }
}

void write_all(int fd, ByteView bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const auto count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0) {
      if (errno == EINTR) continue;
      fail_writing(path, errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

// Removes a temporary file unless it got its name.
struct Temporary {
  explicit Temporary(std::filesystem::path at) : path(std::move(at)) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (!kept) ::unlink(path.c_str());
  }
  std::filesystem::path path;
  bool kept = false;
};

}  // namespace

std::optional<Bytes> read_whole_file(const std::filesystem::path& path, std::size_t most) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    fail_reading(path, errno);
  }
  struct stat st = {};
  if (::fstat(fd.get(), &st) != 0) fail_reading(path, errno);
  if (!S_ISREG(st.st_mode)) throw Error(Errc::corrupt, path.string() + ": is not a file");
  const auto size = static_cast<std::size_t>(st.st_size);
  if (size > most) throw Error(Errc::corrupt, path.string() + ": is too large");
  Bytes bytes(size);
  for (std::size_t filled = 0; filled < size;) {
    const auto count = ::read(fd.get(), bytes.data() + filled, size - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_reading(path, errno);
    if (count == 0) throw Error(Errc::corrupt, path.string() + ": became shorter while read");
    filled += static_cast<std::size_t>(count);
  }
  return bytes;
}

void write_whole_file(const std::filesystem::path& path, ByteView bytes, bool durable) {
  const auto folder = path.parent_path();
  Temporary temporary(folder / (".new-" + random_id().hex()));
  const auto create = [&] {
    return Fd(::open(temporary.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  };
  auto fd = create();
  if (fd.get() < 0 && errno == ENOENT) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) fail_writing(folder, error.value());
    fd = create();
  }
  if (fd.get() < 0) fail_writing(path, errno);
  write_all(fd.get(), bytes, path);
  if (durable && ::fsync(fd.get()) != 0) fail_writing(path, errno);
  if (::rename(temporary.path.c_str(), path.c_str()) != 0) fail_writing(path, errno);
  temporary.kept = true;
  if (!durable) return;
  const Fd directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) != 0) fail_writing(path, errno);
}

void sync_file_system(const std::filesystem::path& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0 || ::syncfs(fd.get()) != 0) fail_writing(path, errno);
}

std::optional<std::uint64_t> size_of_file(const std::filesystem::path& path) {
  struct stat st = {};
  if (::stat(path.c_str(), &st) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    fail_reading(path, errno);
  }
  if (!S_ISREG(st.st_mode) || st.st_size == 0) return std::nullopt;
  return static_cast<std::uint64_t>(st.st_size);
}

}  // namespace nacre
