// SPDX-License-Identifier: Apache-2.0
//
// Every operation of a mount, as the kernel means it, without FUSE.
//
// Any thread may call any member at any time.  Failures are Error (fs/errno.hpp
// gives the errno).  Members may wait for the remote for a bounded time; inside
// a Hurry they throw WouldBlock instead, having changed nothing.  No lock is
// held while they wait, nor while they call the Kernel.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "fs/control.hpp"

namespace nacre {

using Ino = std::uint64_t;  // the kernel's handle of a node, 1 is the root; never reused
inline constexpr Ino root_ino = 1;

struct Attr {
  Ino ino = 0;
  struct stat st = {};  // st_ino is stable, and is not `ino`
};

struct SetAttr {
  std::optional<std::uint64_t> size;
  std::optional<mode_t> mode;
  std::optional<std::int64_t> mtime;  // seconds
  std::optional<uid_t> uid;
  std::optional<gid_t> gid;
};

struct ListedEntry {
  std::string name;
  struct stat st = {};  // whole, as lookup would say
};
using Listing = std::vector<ListedEntry>;  // without . and ..

// What a program will want of a directory that it opens, as far as can be told.
enum class ListingFor { names, attributes };

struct OpenedDirectory {
  std::shared_ptr<const Listing> entries;
  bool cacheable = false;   // the kernel may keep what it reads
  bool keep_cache = false;  // what it has kept is still true, and as much as is wanted
  ObjectId published = {};  // that `entries` are, without changes made here; empty: unknown
};

class OpenFile;  // one open(2); shared with the requests that use it
using Handle = std::shared_ptr<OpenFile>;

struct Opened {
  Attr attr;
  Handle handle;
  bool keep_cache = true;  // the kernel's pages of this file are still true
};

// What the filesystem tells the kernel.  Implemented over
// fuse_lowlevel_notify_*; members neither throw nor call back.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual void entry_changed(Ino parent,
                             std::string_view name) noexcept = 0;  // or appeared, or went
  virtual void data_changed(Ino ino) noexcept = 0;                 // attributes and pages
};

class Filesystem {
 public:
  virtual ~Filesystem() = default;

  // Before the first request; `kernel` outlives all use.
  virtual void start(Kernel& kernel) = 0;
  // No more requests come: stops background work; unsent changes stay in state.
  virtual void stop() = 0;

  // Answers that carry an Attr with ino have counted one lookup, to be given
  // back by forget() (also when the reply did not reach the kernel).
  virtual Attr lookup(Ino parent, std::string_view name) = 0;  // Error{not_found}
  virtual void forget(Ino ino, std::uint64_t lookups) noexcept = 0;
  virtual Attr getattr(Ino ino) = 0;                         // counts nothing
  virtual Attr setattr(Ino ino, const SetAttr& change) = 0;  // counts nothing
  virtual OpenedDirectory open_directory(Ino directory, ListingFor purpose) = 0;
  virtual void close_directory(Ino directory) noexcept = 0;
  virtual std::shared_ptr<const Listing> list(Ino directory) = 0;
  // Whether an open directory's listing is still that of this published one.
  virtual bool shows(Ino directory, const ObjectId& published) = 0;

  virtual Opened open(Ino ino, int flags) = 0;  // O_TRUNC honoured; counts nothing
  virtual Opened create(Ino parent, std::string_view name, mode_t mode, int flags) = 0;
  virtual std::size_t read(const Handle& file, std::uint64_t offset, MutableByteView out) = 0;
  // The offset is the kernel's, also with O_APPEND.
  virtual void write(const Handle& file, std::uint64_t offset, ByteView bytes) = 0;
  virtual void flush(const Handle& file) = 0;             // close(2): safe from kill -9 afterwards
  virtual void fsync(const Handle& file) = 0;             // safe from a power cut afterwards
  virtual void release(const Handle& file) noexcept = 0;  // the last close of this open
  virtual void fsync_directory(Ino directory) = 0;
  // mode as fallocate(2): 0, KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE, ZERO_RANGE[|KEEP_SIZE]; else
  // Error{unsupported}
  virtual void fallocate(const Handle& file, int mode, std::uint64_t offset,
                         std::uint64_t length) = 0;
  // SEEK_DATA / SEEK_HOLE: all is data, the hole is at the end.
  virtual std::uint64_t seek(const Handle& file, std::uint64_t offset, int whence) = 0;
  virtual std::size_t copy_range(const Handle& from, std::uint64_t from_offset, const Handle& to,
                                 std::uint64_t to_offset, std::size_t length) = 0;

  virtual Attr mkdir(Ino parent, std::string_view name, mode_t mode) = 0;
  virtual void unlink(Ino parent, std::string_view name) = 0;
  virtual void rmdir(Ino parent, std::string_view name) = 0;
  // flags as renameat2(2): 0, RENAME_NOREPLACE, RENAME_EXCHANGE.
  virtual void rename(Ino parent, std::string_view name, Ino new_parent, std::string_view new_name,
                      unsigned flags) = 0;

  virtual struct statvfs statfs() = 0;
  virtual void access(Ino ino, int mask) = 0;
  virtual std::optional<std::string> get_xattr(Ino ino, std::string_view name) = 0;
  virtual std::vector<std::string> list_xattr(Ino ino) = 0;

  // status, sync, unlock, lock, rescue, umount (fs/control.hpp); may wait as long as its words say.
  virtual ControlReply control(ControlRequest request) = 0;
  // Called by the mount when a `umount` verb is to be carried out.
  virtual void on_unmount(std::function<void()> unmount) = 0;
};

struct MountPlan;
class Remote;

// The real one: opens caches and state, lists libraries.  Throws Error as serve_mount() does.
std::unique_ptr<Filesystem> make_filesystem(MountPlan plan, std::unique_ptr<Remote> remote);

}  // namespace nacre
