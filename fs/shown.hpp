// SPDX-License-Identifier: Apache-2.0
//
// Whose the files of a mount are said to be, and what is taken from their modes: a
// library itself holds neither.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>

namespace nacre {

struct Shown {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
  mode_t file_mask = 022, folder_mask = 022;  // bits that are not shown
};

// `mode`: permissions before the mask.
inline struct stat folder_stat(const Shown& shown, std::uint64_t st_ino, std::int64_t mtime,
                               mode_t mode) {
  struct stat st = {};
  st.st_ino = st_ino;
  st.st_mode = S_IFDIR | (mode & ~shown.folder_mask);
  st.st_nlink = 1;  // "not counted", as btrfs does: tools then do not derive anything from it
  st.st_uid = shown.uid;
  st.st_gid = shown.gid;
  st.st_blksize = 4096;
  st.st_mtim.tv_sec = st.st_ctim.tv_sec = st.st_atim.tv_sec = mtime;
  return st;
}

inline struct stat file_stat(const Shown& shown, std::uint64_t st_ino, std::int64_t mtime,
                             mode_t mode, std::uint64_t size) {
  auto st = folder_stat(shown, st_ino, mtime, 0);
  st.st_mode = S_IFREG | (mode & ~shown.file_mask);
  st.st_size = static_cast<off_t>(size);
  st.st_blocks = (st.st_size + 511) / 512;
  return st;
}

}  // namespace nacre
