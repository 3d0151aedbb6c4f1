// SPDX-License-Identifier: Apache-2.0
//
// A Filesystem with `.snapshots` at the top of each library: found by its name, listed
// nowhere.  A file or folder of the library's own that is called so comes first, and hides
// it.  What is changed below it is Error{read_only}; all else is the live tree's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/filesystem.hpp"
#include "fs/snapshots.hpp"

namespace nacre {

class SnapshotFilesystem final : public Filesystem, private Kernel {
 public:
  // `source` is of the live tree, and lives as long.
  SnapshotFilesystem(std::unique_ptr<Filesystem> live, SnapshotSource& source, const Shown& shown)
      : live_(std::move(live)), source_(source), snapshots_(source, shown) {}

  void start(Kernel& kernel) override;
  void stop() override { live_->stop(); }

  Attr lookup(Ino parent, std::string_view name) override;
  void forget(Ino ino, std::uint64_t lookups) noexcept override;
  Attr getattr(Ino ino) override;
  Attr setattr(Ino ino, const SetAttr& change) override;
  OpenedDirectory open_directory(Ino directory, ListingFor purpose) override;
  void close_directory(Ino directory) noexcept override;
  std::shared_ptr<const Listing> list(Ino directory) override;
  bool shows(Ino directory, const ObjectId& published) override;

  Opened open(Ino ino, int flags) override;
  Opened create(Ino parent, std::string_view name, mode_t mode, int flags) override;
  std::size_t read(const Handle& file, std::uint64_t offset, MutableByteView out) override;
  void write(const Handle& file, std::uint64_t offset, ByteView bytes) override;
  void flush(const Handle& file) override;
  void fsync(const Handle& file) override;
  void release(const Handle& file) noexcept override;
  void fsync_directory(Ino directory) override;
  void fallocate(const Handle& file, int mode, std::uint64_t offset, std::uint64_t length) override;
  std::uint64_t seek(const Handle& file, std::uint64_t offset, int whence) override;
  std::size_t copy_range(const Handle& from, std::uint64_t from_offset, const Handle& to,
                         std::uint64_t to_offset, std::size_t length) override;

  Attr mkdir(Ino parent, std::string_view name, mode_t mode) override;
  void unlink(Ino parent, std::string_view name) override;
  void rmdir(Ino parent, std::string_view name) override;
  void rename(Ino parent, std::string_view name, Ino new_parent, std::string_view new_name,
              unsigned flags) override;

  struct statvfs statfs() override {
    return live_->statfs();
  }
  void access(Ino ino, int mask) override;
  std::optional<std::string> get_xattr(Ino ino, std::string_view name) override;
  std::vector<std::string> list_xattr(Ino ino) override;

  ControlReply control(ControlRequest request) override;
  void on_unmount(std::function<void()> unmount) override { live_->on_unmount(std::move(unmount)); }

 private:
  struct Below;
  std::optional<Below> below_snapshots(const std::string& path);
  std::optional<ControlReply> path_control(ControlRequest& request);
  void check_writable(Ino parent, std::string_view name);
  // What the live tree tells, on its way.
  void entry_changed(Ino parent, std::string_view name) noexcept override;
  void data_changed(Ino ino) noexcept override;

  const std::unique_ptr<Filesystem> live_;
  SnapshotSource& source_;
  Snapshots snapshots_;
  Kernel* kernel_ = nullptr;
};

}  // namespace nacre
