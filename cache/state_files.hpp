// SPDX-License-Identifier: Apache-2.0
//
// How the state environment lies on the disk, so that a power cut leaves what was synced.
//
//   data.mdb  LMDB's file; commits reach the kernel, not the disk
//   synced    the first pages of data.mdb as they were at the last sync, twice, in turns
//   boot      the boot of this machine during which data.mdb was written
//
// After kill -9 the kernel still has all of data.mdb.  After a power cut the disk has some of what
// was committed since the last sync, and not the rest; but no page of the synced commit has been
// used again (State holds it), so with its first pages data.mdb is what it was then.
// Functions throw Error{full, denied, corrupt}.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/bytes.hpp"
#include "base/fd.hpp"

namespace nacre {

// To be called before the environment is opened, by the one process that may.
void recover_after_power_cut(const std::filesystem::path& env);

// Gives back what a large file has long ceased to hold; the same caller, before it is opened.
void compact_environment(const std::filesystem::path& env, std::size_t map_size);

// The file `synced`.  For one thread at a time.
class SyncedPages {
 public:
  explicit SyncedPages(const std::filesystem::path& env);

  // On the disk when it returns; a cut meanwhile leaves those of the call before.
  void write(ByteView pages);

 private:
  Fd fd_;
  std::uint64_t turn_ = 0;
};

}  // namespace nacre
