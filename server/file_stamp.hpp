// SPDX-License-Identifier: Apache-2.0
//
// Whether a file is still the one that was read: by size, time and inode.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <optional>

namespace nacre {

struct FileStamp {
  std::uint64_t device = 0, inode = 0;
  std::int64_t size = 0, seconds = 0, nanoseconds = 0;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

// nullopt: no such file.  Taken before reading, so that a change in between is seen next time.
inline std::optional<FileStamp> stamp_of(const std::filesystem::path& file) noexcept {
  struct stat st = {};
  if (::stat(file.c_str(), &st) != 0) return std::nullopt;
  return FileStamp{st.st_dev, st.st_ino, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
}

}  // namespace nacre
