// SPDX-License-Identifier: Apache-2.0
#include "fs/snapshot_filesystem.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <functional>
#include <set>
#include <sstream>
#include <utility>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/waiting.hpp"
#include "fs/patience.hpp"

namespace nacre {
namespace {

constexpr std::string_view xattr_commit = "user.nacre.commit";

[[noreturn]] void refuse() { throw Error(Errc::read_only, "snapshots: as it was, read only"); }

void check_live(Ino ino) {
  if (Snapshots::holds(ino)) refuse();
}

}  // namespace

void SnapshotFilesystem::start(Kernel& kernel) {
  kernel_ = &kernel;
  live_->start(*this);
}

void SnapshotFilesystem::entry_changed(Ino parent, std::string_view name) noexcept {
  kernel_->entry_changed(parent, name);
}

// The live tree tells that a folder has changed, and no new names, which the kernel cannot know.
// This one it may know as ours.
void SnapshotFilesystem::data_changed(Ino ino) noexcept {
  kernel_->data_changed(ino);
  if (!snapshots_.has_folder(ino)) return;
  try {
    const Hurry hurry;
    const auto own = live_->lookup(ino, Snapshots::name).ino;
    live_->forget(own, 1);
    kernel_->entry_changed(ino, Snapshots::name);
  } catch (const WouldBlock&) {
  } catch (const std::exception&) {
    // There is none.
  }
}

Attr SnapshotFilesystem::lookup(Ino parent, std::string_view name) {
  if (Snapshots::holds(parent)) return snapshots_.lookup(parent, name);
  if (name != Snapshots::name) return live_->lookup(parent, name);
  try {
    return live_->lookup(parent, name);
  } catch (const Error& error) {
    const auto library =
        error.code() == Errc::not_found ? source_.library_at(parent) : std::nullopt;
    if (!library) throw;
    return snapshots_.folder_of(*library);
  }
}

// Before a name is made, moved or removed: that of the folder of snapshots is none to change.
void SnapshotFilesystem::check_writable(Ino parent, std::string_view name) {
  check_live(parent);
  if (name != Snapshots::name) return;
  const auto found = lookup(parent, name).ino;
  forget(found, 1);
  check_live(found);
}

void SnapshotFilesystem::forget(Ino ino, std::uint64_t lookups) noexcept {
  if (Snapshots::holds(ino))
    snapshots_.forget(ino, lookups);
  else
    live_->forget(ino, lookups);
}

Attr SnapshotFilesystem::getattr(Ino ino) {
  return Snapshots::holds(ino) ? snapshots_.getattr(ino) : live_->getattr(ino);
}

Attr SnapshotFilesystem::setattr(Ino ino, const SetAttr& change) {
  check_live(ino);
  return live_->setattr(ino, change);
}

OpenedDirectory SnapshotFilesystem::open_directory(Ino directory, ListingFor purpose) {
  return Snapshots::holds(directory) ? snapshots_.open_directory(directory)
                                     : live_->open_directory(directory, purpose);
}

void SnapshotFilesystem::close_directory(Ino directory) noexcept {
  if (Snapshots::holds(directory))
    snapshots_.close_directory(directory);
  else
    live_->close_directory(directory);
}

std::shared_ptr<const Listing> SnapshotFilesystem::list(Ino directory) {
  return Snapshots::holds(directory) ? snapshots_.list(directory) : live_->list(directory);
}

bool SnapshotFilesystem::shows(Ino directory, const ObjectId& published) {
  return !Snapshots::holds(directory) && live_->shows(directory, published);
}

Opened SnapshotFilesystem::open(Ino ino, int flags) {
  if (!Snapshots::holds(ino)) return live_->open(ino, flags);
  if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0) refuse();
  return snapshots_.open(ino);
}

Opened SnapshotFilesystem::create(Ino parent, std::string_view name, mode_t mode, int flags) {
  check_live(parent);
  return live_->create(parent, name, mode, flags);
}

std::size_t SnapshotFilesystem::read(const Handle& file, std::uint64_t offset,
                                     MutableByteView out) {
  return live_->read(file, offset, out);
}

void SnapshotFilesystem::write(const Handle& file, std::uint64_t offset, ByteView bytes) {
  live_->write(file, offset, bytes);
}

void SnapshotFilesystem::flush(const Handle& file) { live_->flush(file); }

void SnapshotFilesystem::fsync(const Handle& file) {
  if (!file->snapshot) live_->fsync(file);
}

void SnapshotFilesystem::release(const Handle& file) noexcept {
  if (file->snapshot)
    snapshots_.closed(file->snapshot->ino);
  else
    live_->release(file);
}

void SnapshotFilesystem::fsync_directory(Ino directory) {
  if (!Snapshots::holds(directory)) live_->fsync_directory(directory);
}

void SnapshotFilesystem::fallocate(const Handle& file, int mode, std::uint64_t offset,
                                   std::uint64_t length) {
  live_->fallocate(file, mode, offset, length);
}

std::uint64_t SnapshotFilesystem::seek(const Handle& file, std::uint64_t offset, int whence) {
  return live_->seek(file, offset, whence);
}

std::size_t SnapshotFilesystem::copy_range(const Handle& from, std::uint64_t from_offset,
                                           const Handle& to, std::uint64_t to_offset,
                                           std::size_t length) {
  return live_->copy_range(from, from_offset, to, to_offset, length);
}

Attr SnapshotFilesystem::mkdir(Ino parent, std::string_view name, mode_t mode) {
  check_live(parent);
  return live_->mkdir(parent, name, mode);
}

void SnapshotFilesystem::unlink(Ino parent, std::string_view name) {
  check_writable(parent, name);
  live_->unlink(parent, name);
}

void SnapshotFilesystem::rmdir(Ino parent, std::string_view name) {
  check_writable(parent, name);
  live_->rmdir(parent, name);
}

void SnapshotFilesystem::rename(Ino parent, std::string_view name, Ino new_parent,
                                std::string_view new_name, unsigned flags) {
  check_writable(parent, name);
  check_writable(new_parent, new_name);
  live_->rename(parent, name, new_parent, new_name, flags);
}

void SnapshotFilesystem::access(Ino ino, int mask) {
  if (!Snapshots::holds(ino)) return live_->access(ino, mask);
  if ((mask & W_OK) != 0) refuse();
}

std::optional<std::string> SnapshotFilesystem::get_xattr(Ino ino, std::string_view name) {
  if (!Snapshots::holds(ino)) return live_->get_xattr(ino, name);
  return name == xattr_commit ? snapshots_.commit_of(ino) : std::nullopt;
}

std::vector<std::string> SnapshotFilesystem::list_xattr(Ino ino) {
  if (!Snapshots::holds(ino)) return live_->list_xattr(ino);
  if (!snapshots_.commit_of(ino)) return {};
  return {std::string(xattr_commit)};
}

// What a path from the mount's top names below `.snapshots`.
struct SnapshotFilesystem::Below {
  std::string library;                      // the path of its top
  std::string snapshot;                     // its name; empty: the folder of all
  std::string commit;                       // that it stands for
  std::string inside;                       // in the snapshot
  [[nodiscard]] std::string live() const {  // the same in the library
    return library.empty() || inside.empty() ? library + inside : library + "/" + inside;
  }
};

// Nullopt: the path does not lie there.  Throws what a program would get that opens it.
std::optional<SnapshotFilesystem::Below> SnapshotFilesystem::below_snapshots(
    const std::string& path) {
  const auto own = "/" + std::string(Snapshots::name) + "/";
  const auto at = ("/" + path + "/").find(own);
  if (at == std::string::npos) return std::nullopt;
  Below below;
  below.library = path.substr(0, at == 0 ? 0 : at - 1);
  std::istringstream names(path);
  Ino ino = root_ino;
  bool in_snapshots = false;
  for (std::string name; std::getline(names, name, '/');) {
    const struct Leaving {
      ~Leaving() {
        if (parent != root_ino) fs.forget(parent, 1);
      }
      SnapshotFilesystem& fs;
      const Ino parent;
    } leaving{*this, ino};
    ino = lookup(ino, name).ino;
    if (!Snapshots::holds(ino)) continue;
    if (!std::exchange(in_snapshots, true)) continue;
    if (below.snapshot.empty()) {
      below.snapshot = name;
      below.commit = snapshots_.commit_of(ino).value_or("");
    } else {
      below.inside += (below.inside.empty() ? "" : "/") + name;
    }
  }
  forget(ino, 1);
  if (!in_snapshots) return std::nullopt;
  return below;
}

// Requests about a path there; nullopt: they are the live tree's, perhaps about another path.
std::optional<ControlReply> SnapshotFilesystem::path_control(ControlRequest& request) {
  static const std::set<std::string, std::less<>> of_paths = {
      "why", "history", "privacy", "du", "pin", "pinned", "unpin", "evict", "restore"};
  auto& words = request.words;
  if (words.size() < 2 || !of_paths.contains(words[0])) return std::nullopt;
  Waiting waits;
  waits.stop = request.gone;
  const WaitAs asked(std::move(waits));
  std::optional<Below> below;
  try {
    below = below_snapshots(words[1]);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;  // what is removed is told by the live tree
  }
  if (!below) return std::nullopt;
  const auto verb = words[0], path = words[1];
  const bool json = words.size() > 2 && words[2] == "json";
  words[1] = below->live();
  if (verb == "history") {
    if (words.size() > 4 && words[4].empty()) words[4] = below->commit;
    return std::nullopt;
  }
  if (verb == "privacy") {
    words[1] = below->library;  // what can be seen is the same for all of it
    return std::nullopt;
  }
  if (verb == "why") {
    if (json) {
      JsonWriter out;
      out.object().key("path").value(path).key("state").value("snapshot");
      out.key("snapshot").text_or_null(below->snapshot).key("commit").text_or_null(below->commit);
      return ControlReply{0, std::move(out.end()).take() + "\n"};
    }
    return ControlReply{
        0, path + (below->snapshot.empty()
                       ? ": the folder of the library's snapshots, read only\n"
                       : ": read only, as it was at " + below->snapshot + " in commit " +
                             below->commit + "; bring it back with cp or `nacre restore`\n")};
  }
  const std::string instead =
      verb == "du"        ? "du(1) adds it up"
      : verb == "restore" ? "name it in the library, with --at " + below->commit + ", or copy it"
                          : "name it in the library; what is alike is kept once";
  throw Error(Errc::unsupported,
              path + ": a snapshot, which `nacre " + verb + "` does not work on; " + instead);
}

ControlReply SnapshotFilesystem::control(ControlRequest request) {
  if (auto reply = path_control(request)) return *std::move(reply);
  const bool locks = !request.words.empty() && request.words[0] == "lock";
  auto reply = live_->control(std::move(request));
  if (locks && kernel_) snapshots_.drop_locked().tell(*kernel_);
  return reply;
}

}  // namespace nacre
