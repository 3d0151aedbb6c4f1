// SPDX-License-Identifier: Apache-2.0
//
// A Filesystem in memory, to prove the adapter without the rest.  It keeps the
// contract's promises about counts, handles and Hurry.  Some names are special:
//   slow*    lookups are quick, reads wait until a file "go" exists
//   hidden   looking it up waits until a file "go" exists
//   stocked  a directory that is made with twenty files, which the kernel does not know
//   broken   reads fail with Error{unreachable}
// The attributes user.nacre.nodes and user.nacre.handles of the root tell how many
// nodes the kernel holds and how many files are open; user.nacre.poke on a file
// changes its data behind the kernel's back and says so.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>

#include "fs/filesystem.hpp"

namespace nacre::test {

class MemoryFilesystem final : public Filesystem {
 public:
  MemoryFilesystem();

  void start(Kernel& kernel) override { kernel_ = &kernel; }
  void stop() override {}
  Attr lookup(Ino parent, std::string_view name) override;
  void forget(Ino ino, std::uint64_t lookups) noexcept override;
  Attr getattr(Ino ino) override;
  Attr setattr(Ino ino, const SetAttr& change) override;
  OpenedDirectory open_directory(Ino directory, ListingFor) override {
    return {list(directory), false, false};
  }
  void close_directory(Ino) noexcept override {}
  std::shared_ptr<const Listing> list(Ino directory) override;
  bool shows(Ino, const ObjectId&) override { return false; }
  Opened open(Ino ino, int flags) override;
  Opened create(Ino parent, std::string_view name, mode_t mode, int flags) override;
  std::size_t read(const Handle& file, std::uint64_t offset, MutableByteView out) override;
  void write(const Handle& file, std::uint64_t offset, ByteView bytes) override;
  void flush(const Handle&) override {}
  void fsync(const Handle&) override {}
  void release(const Handle& file) noexcept override;
  void fsync_directory(Ino) override {}
  void fallocate(const Handle& file, int mode, std::uint64_t offset, std::uint64_t length) override;
  std::uint64_t seek(const Handle& file, std::uint64_t offset, int whence) override;
  std::size_t copy_range(const Handle& from, std::uint64_t from_offset, const Handle& to,
                         std::uint64_t to_offset, std::size_t length) override;
  Attr mkdir(Ino parent, std::string_view name, mode_t mode) override;
  void unlink(Ino parent, std::string_view name) override;
  void rmdir(Ino parent, std::string_view name) override;
  void rename(Ino parent, std::string_view name, Ino new_parent, std::string_view new_name,
              unsigned flags) override;
  struct statvfs statfs() override;
  void access(Ino, int) override {}
  std::optional<std::string> get_xattr(Ino ino, std::string_view name) override;
  std::vector<std::string> list_xattr(Ino) override { return {"user.nacre.nodes"}; }
  ControlReply control(ControlRequest) override { return {}; }
  void on_unmount(std::function<void()>) override {}

 private:
  struct Node {
    struct stat st = {};
    std::string name;
    Bytes bytes;
    std::map<std::string, Ino, std::less<>> entries;
    std::uint64_t lookups = 0;
  };
  Node& node(Ino ino);
  Ino entry(Node& directory, std::string_view name);
  Attr counted(Ino ino);
  Ino make(Ino parent, std::string_view name, mode_t mode);
  void wait_for_go(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;  // guards all below
  std::condition_variable gone_;
  std::map<Ino, Node> nodes_;
  Ino next_ = 2;
  int handles_ = 0;
  Kernel* kernel_ = nullptr;
};

}  // namespace nacre::test
