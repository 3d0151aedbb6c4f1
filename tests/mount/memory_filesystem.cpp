// SPDX-License-Identifier: Apache-2.0
#include "memory_filesystem.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "base/error.hpp"
#include "fs/patience.hpp"

namespace nacre {

class OpenFile {
 public:
  explicit OpenFile(Ino of) : ino(of) {}
  const Ino ino;
};

namespace test {

MemoryFilesystem::MemoryFilesystem() {
  auto& root = nodes_[root_ino];
  root.st.st_ino = 1;
  root.st.st_mode = S_IFDIR | 0755;
  root.st.st_nlink = 1;
  root.st.st_uid = getuid();
  root.st.st_gid = getgid();
}

MemoryFilesystem::Node& MemoryFilesystem::node(Ino ino) {
  const auto at = nodes_.find(ino);
  if (at == nodes_.end()) throw Error(Errc::gone, "node: unknown");
  return at->second;
}

Ino MemoryFilesystem::entry(Node& directory, std::string_view name) {
  const auto at = directory.entries.find(name);
  if (at == directory.entries.end()) throw Error(Errc::not_found, "no such entry");
  return at->second;
}

Attr MemoryFilesystem::counted(Ino ino) {
  auto& n = node(ino);
  ++n.lookups;
  return {ino, n.st};
}

void MemoryFilesystem::wait_for_go(std::unique_lock<std::mutex>& lock) {
  const auto here = [this] { return nodes_[root_ino].entries.contains("go"); };
  while (!here()) {
    patience::about_to_wait();
    gone_.wait_for(lock, std::chrono::milliseconds(20));
  }
}

Attr MemoryFilesystem::lookup(Ino parent, std::string_view name) {
  std::unique_lock lock(mutex_);
  if (name == "hidden") wait_for_go(lock);
  return counted(entry(node(parent), name));
}

void MemoryFilesystem::forget(Ino ino, std::uint64_t lookups) noexcept {
  const std::lock_guard lock(mutex_);
  if (const auto at = nodes_.find(ino); at != nodes_.end()) at->second.lookups -= lookups;
}

Attr MemoryFilesystem::getattr(Ino ino) {
  const std::lock_guard lock(mutex_);
  return {ino, node(ino).st};
}

Attr MemoryFilesystem::setattr(Ino ino, const SetAttr& change) {
  const std::lock_guard lock(mutex_);
  auto& n = node(ino);
  if (change.size) {
    n.bytes.resize(*change.size);
    n.st.st_size = static_cast<off_t>(*change.size);
  }
  if (change.mode) n.st.st_mode = (n.st.st_mode & S_IFMT) | (*change.mode & 07777U);
  if (change.mtime) n.st.st_mtime = *change.mtime;
  if (change.uid && *change.uid != n.st.st_uid) throw Error(Errc::unsupported, "no owners");
  return {ino, n.st};
}

std::shared_ptr<const Listing> MemoryFilesystem::list(Ino directory) {
  const std::lock_guard lock(mutex_);
  auto listing = std::make_shared<Listing>();
  for (const auto& [name, ino] : node(directory).entries) listing->push_back({name, node(ino).st});
  return listing;
}

Opened MemoryFilesystem::open(Ino ino, int flags) {
  const std::lock_guard lock(mutex_);
  auto& n = node(ino);
  if (flags & O_TRUNC) {
    n.bytes.clear();
    n.st.st_size = 0;
  }
  ++handles_;
  return {{ino, n.st}, std::make_shared<OpenFile>(ino), true};
}

Ino MemoryFilesystem::make(Ino parent, std::string_view name, mode_t mode) {
  if (node(parent).entries.contains(name)) throw Error(Errc::exists, "the name is taken");
  if (name.size() > 255) throw Error(Errc::name_too_long, "a name has at most 255 bytes");
  const auto ino = next_++;
  auto& made = nodes_[ino];
  made.name = name;
  made.st = nodes_[root_ino].st;
  made.st.st_ino = ino + 1000;
  made.st.st_mode = mode;
  made.st.st_mtime = std::time(nullptr);
  node(parent).entries.emplace(name, ino);
  gone_.notify_all();
  return ino;
}

Opened MemoryFilesystem::create(Ino parent, std::string_view name, mode_t mode, int) {
  const std::lock_guard lock(mutex_);
  const auto ino = make(parent, name, S_IFREG | (mode & 07777U));
  ++handles_;
  return {counted(ino), std::make_shared<OpenFile>(ino), true};
}

std::size_t MemoryFilesystem::read(const Handle& file, std::uint64_t offset, MutableByteView out) {
  std::unique_lock lock(mutex_);
  if (node(file->ino).name.starts_with("slow")) wait_for_go(lock);
  auto& n = node(file->ino);
  if (n.name == "broken") throw Error(Errc::unreachable, "cable pulled");
  if (offset >= n.bytes.size()) return 0;
  const auto count = std::min<std::size_t>(out.size(), n.bytes.size() - offset);
  std::copy_n(n.bytes.begin() + static_cast<std::ptrdiff_t>(offset), count, out.begin());
  return count;
}

void MemoryFilesystem::write(const Handle& file, std::uint64_t offset, ByteView bytes) {
  const std::lock_guard lock(mutex_);
  auto& n = node(file->ino);
  if (n.bytes.size() < offset + bytes.size()) n.bytes.resize(offset + bytes.size());
  std::copy(bytes.begin(), bytes.end(), n.bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  n.st.st_size = static_cast<off_t>(n.bytes.size());
  n.st.st_mtime = std::time(nullptr);
}

void MemoryFilesystem::release(const Handle&) noexcept {
  const std::lock_guard lock(mutex_);
  --handles_;
}

void MemoryFilesystem::fallocate(const Handle& file, int mode, std::uint64_t offset,
                                 std::uint64_t length) {
  const std::lock_guard lock(mutex_);
  if (mode != 0) throw Error(Errc::unsupported, "fallocate: only plain");
  auto& n = node(file->ino);
  if (n.bytes.size() < offset + length) n.bytes.resize(offset + length);
  n.st.st_size = static_cast<off_t>(n.bytes.size());
}

std::uint64_t MemoryFilesystem::seek(const Handle& file, std::uint64_t offset, int whence) {
  const std::lock_guard lock(mutex_);
  return whence == SEEK_DATA ? offset : node(file->ino).bytes.size();
}

std::size_t MemoryFilesystem::copy_range(const Handle& from, std::uint64_t from_offset,
                                         const Handle& to, std::uint64_t to_offset,
                                         std::size_t length) {
  Bytes bytes(length);
  bytes.resize(read(from, from_offset, bytes));
  write(to, to_offset, bytes);
  return bytes.size();
}

Attr MemoryFilesystem::mkdir(Ino parent, std::string_view name, mode_t mode) {
  const std::lock_guard lock(mutex_);
  const auto made = make(parent, name, S_IFDIR | (mode & 07777U));
  for (int i = 0; name == "stocked" && i < 20; ++i)
    make(made, "f" + std::to_string(i), S_IFREG | 0644U);
  return counted(made);
}

void MemoryFilesystem::unlink(Ino parent, std::string_view name) {
  const std::lock_guard lock(mutex_);
  auto& directory = node(parent);
  directory.entries.erase(node(entry(directory, name)).name);
}

void MemoryFilesystem::rmdir(Ino parent, std::string_view name) {
  const std::lock_guard lock(mutex_);
  auto& directory = node(parent);
  if (!node(entry(directory, name)).entries.empty()) throw Error(Errc::not_empty, "not empty");
  directory.entries.erase(std::string(name));
}

void MemoryFilesystem::rename(Ino parent, std::string_view name, Ino new_parent,
                              std::string_view new_name, unsigned flags) {
  const std::lock_guard lock(mutex_);
  auto& from = node(parent);
  auto& to = node(new_parent);
  const auto ino = entry(from, name);
  if ((flags & RENAME_NOREPLACE) && to.entries.contains(new_name))
    throw Error(Errc::exists, "the name is taken");
  if (flags & RENAME_EXCHANGE) {
    const auto other = entry(to, new_name);
    from.entries[std::string(name)] = other;
    node(other).name = name;
  } else {
    from.entries.erase(std::string(name));
  }
  to.entries[std::string(new_name)] = ino;
  node(ino).name = new_name;
}

struct statvfs MemoryFilesystem::statfs() {
  struct statvfs st = {};
  st.f_bsize = st.f_frsize = 4096;
  st.f_blocks = 1000;
  st.f_bfree = st.f_bavail = 400;
  st.f_namemax = 255;
  return st;
}

std::optional<std::string> MemoryFilesystem::get_xattr(Ino ino, std::string_view name) {
  {
    const std::lock_guard lock(mutex_);
    if (name == "user.nacre.handles") return std::to_string(handles_);
    if (name == "user.nacre.nodes")
      return std::to_string(std::count_if(nodes_.begin(), nodes_.end(),
                                          [](auto& n) { return n.second.lookups != 0; }));
    if (name != "user.nacre.poke") return std::nullopt;
    std::fill(node(ino).bytes.begin(), node(ino).bytes.end(), std::uint8_t{'!'});
  }
  kernel_->data_changed(ino);
  return "poked";
}

}  // namespace test
}  // namespace nacre
