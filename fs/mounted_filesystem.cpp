// SPDX-License-Identifier: Apache-2.0
//
// The operations.  What starts, follows and ends is in mounted_libraries.cpp,
// what commands ask for in mounted_control.cpp.
#include "fs/mounted_filesystem.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "base/error.hpp"
#include "fs/open_file.hpp"
#include "fs/patience.hpp"
#include "fs/with_tree.hpp"

namespace nacre {
namespace {

constexpr std::size_t copy_piece = std::size_t{1} << 20U;
constexpr std::chrono::minutes longest_fsync{10};  // where it waits for the server

bool writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY; }

// Gives a handle back that the kernel has never seen.
class HandleGuard {
 public:
  HandleGuard(Filesystem& fs, const Handle& file) : fs_(fs), file_(file) {}
  ~HandleGuard() { fs_.release(file_); }
  HandleGuard(const HandleGuard&) = delete;
  HandleGuard& operator=(const HandleGuard&) = delete;

 private:
  Filesystem& fs_;
  const Handle& file_;
};

}  // namespace

Attr MountedFilesystem::lookup(Ino parent, std::string_view name) {
  if (name.size() > max_name) throw Error(Errc::name_too_long, "lookup: more than 255 bytes");
  return with_tree([&](Tree& tree) {
    auto* node = tree.child(tree.node(parent), name);
    if (!node) throw Error(Errc::not_found, std::string(name) + ": no such name");
    return tree.counted(*node);
  });
}

void MountedFilesystem::forget(Ino ino, std::uint64_t lookups) noexcept {
  const std::lock_guard lock(mutex_);
  tree_.forget(ino, lookups);
  tree_.stage();  // an unlinked file may have gone with it
}

Attr MountedFilesystem::getattr(Ino ino) {
  return with_tree([&](Tree& tree) {
    const auto& node = tree.node(ino);
    return Attr{ino, tree.stat_of(node)};
  });
}

Attr MountedFilesystem::setattr(Ino ino, const SetAttr& change) {
  if ((change.uid && *change.uid != plan_.shown.uid) ||
      (change.gid && *change.gid != plan_.shown.gid))
    throw Error(Errc::not_permitted, "chown: a library keeps no owners");
  if (change.size) {
    const auto file = open(ino, O_WRONLY);  // so that its content stays in memory
    const HandleGuard guard(*this, file.handle);
    truncate(*file.handle, *change.size);
    save(*file.handle);
  }
  return change_tree([&](Tree& tree) {
    auto& node = tree.node(ino);
    if (change.mode) tree.set_mode(node, *change.mode);
    if (change.mtime) tree.set_mtime(node, *change.mtime);
    return std::pair(node.library, Attr{ino, tree.stat_of(node)});
  });
}

OpenedDirectory MountedFilesystem::open_directory(Ino directory, ListingFor purpose) {
  std::optional<Ahead::Way> way;
  auto opened = with_tree([&](Tree& tree) {
    auto& folder = tree.node(directory);
    auto result = tree.open_folder(folder, purpose);
    if (!folder.id.is_empty()) way = tree.way_to(folder);
    return result;
  });
  if (way) ahead_.listed(*std::move(way));
  return opened;
}

void MountedFilesystem::close_directory(Ino directory) noexcept {
  const std::lock_guard lock(mutex_);
  tree_.closed(tree_.node(directory), false);  // which is there as long as it is open
  tree_.stage();
}

std::shared_ptr<const Listing> MountedFilesystem::list(Ino directory) {
  return with_tree(
      [&](Tree& tree) { return std::make_shared<const Listing>(tree.list(tree.node(directory))); });
}

bool MountedFilesystem::shows(Ino directory, const ObjectId& published) {
  const std::lock_guard lock(mutex_);
  return tree_.published_id(tree_.node(directory)) == published && !published.is_empty();
}

void MountedFilesystem::check_here(const LibraryId& library, const ObjectId& file) {
  if (!patience::only_here || file.is_empty() || depot_.has_content(library, file)) return;
  ++shielded_;
  patience::about_to_fetch();
}

// A read that fails in the middle is the end of a program that has mapped the file: what is not
// all here is not opened.  Of what was changed here a part may have to come from the server.
void MountedFilesystem::check_node_here(Ino ino) {
  LibraryId library;
  ObjectId file;
  {
    const std::lock_guard lock(mutex_);
    const auto& node = tree_.node(ino);
    if (node.is_directory() || (node.content && node.content->dirty())) return;
    library = node.library->id;
    file = node.id;
  }
  check_here(library, file);
}

Opened MountedFilesystem::open(Ino ino, int flags) {
  auto file = std::make_shared<OpenFile>();
  file->writer = writes(flags);
  file->only_here = patience::only_here;
  if (file->only_here) check_node_here(ino);
  std::optional<Ahead::Way> way;
  ObjectId id;
  auto opened = with_tree([&](Tree& tree) {
    auto& node = tree.node(ino);
    if (node.is_directory()) throw Error(Errc::is_directory, "open: a directory");
    tree.check_open(node);
    // Not one that was unlinked while open: one that somebody else has removed or replaced.
    if (file->writer && !node.parent && node.opens == 0)
      throw Error(Errc::gone, "open: the file was removed by somebody else");
    if (file->writer) tree.will_write(node);
    file->node = &node;
    file->content = tree.content(node);
    tree.opened(node, file->writer);
    if (!file->writer && !file->content->dirty() && !node.id.is_empty()) {
      way = tree.way_to(node);
      id = node.id;
    }
    return Opened{{ino, tree.stat_of(node)}, file, true};
  });
  if (way && depot_.spoiled(way->library, id)) opened.keep_cache = false;
  if (way && !file->only_here) ahead_.reading(*std::move(way), id);
  if (file->writer && (flags & O_TRUNC) != 0 && file->content->size() != 0) {
    truncate(*file, 0);
    opened.attr = getattr(ino);
  }
  return opened;
}

Opened MountedFilesystem::create(Ino parent, std::string_view name, mode_t mode, int flags) {
  state_.check_room();
  auto file = std::make_shared<OpenFile>();
  file->writer = writes(flags);
  return change_tree(
      [&](Tree& tree) {
        auto& node = tree.create_file(tree.node(parent), name, mode);
        file->node = &node;
        file->content = tree.content(node);
        if (file->writer) tree.will_write(node);
        tree.opened(node, file->writer);
        return std::pair(node.library, Opened{tree.counted(node), file, true});
      },
      Safe::at_close);
}

std::size_t MountedFilesystem::read(const Handle& file, std::uint64_t offset, MutableByteView out) {
  const OnlyHere caller(file->only_here);
  const PartsWillDo program(!file->writer);  // who writes may write back what was read
  try {
    return file->content->read(offset, out);
  } catch (const Error& error) {
    if (file->only_here && error.code() == Errc::denied) ++shielded_;
    throw;
  }
}

// One change of a file's bytes: first the bytes, then the tree's word of it.
void MountedFilesystem::write_content(OpenFile& file,
                                      const std::function<void(FileContent&)>& change) {
  if (!file.writer) throw Error(Errc::denied, "write: the file is open for reading");
  {
    const std::lock_guard lock(mutex_);
    tree_.check_writable(*file.node);
  }
  change(*file.content);
  change_tree([&](Tree& tree) {
    tree.wrote(*file.node);
    return std::pair(file.node->library, 0);
  });
}

void MountedFilesystem::write(const Handle& file, std::uint64_t offset, ByteView bytes) {
  write_content(*file, [&](FileContent& content) { content.write(offset, bytes); });
}

void MountedFilesystem::truncate(OpenFile& file, std::uint64_t size) {
  write_content(file, [&](FileContent& content) { content.truncate(size); });
}

// Brings what is only in memory to state: safe from kill -9 afterwards.
void MountedFilesystem::save(OpenFile& file) {
  file.content->spill_before_save();
  auto ticket = file.content->save();
  {
    const std::lock_guard lock(mutex_);
    tree_.stage_again(*file.node);
    ticket = std::max(ticket, tree_.stage());
  }
  state_.commit(ticket);
}

void MountedFilesystem::flush(const Handle& file) {
  if (file->writer) save(*file);
}

void MountedFilesystem::fsync(const Handle& file) {
  save(*file);
  state_.sync();
  if (!plan_.fsync_remote || !file->content->dirty()) return;
  LibrarySync* sync = nullptr;
  {
    const std::lock_guard lock(mutex_);
    sync = syncs_.at(file->node->library->id).get();
  }
  sync->wait_sent(std::chrono::steady_clock::now() + longest_fsync);
}

void MountedFilesystem::fsync_directory(Ino) { state_.sync(); }

void MountedFilesystem::release(const Handle& file) noexcept {
  const std::lock_guard lock(mutex_);
  if (file->writer) file->node->library->last_change = std::chrono::steady_clock::now();
  tree_.closed(*file->node, file->writer);
  tree_.stage();
}

void MountedFilesystem::fallocate(const Handle& file, int mode, std::uint64_t offset,
                                  std::uint64_t length) {
  const bool keep_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  const int what = mode & ~FALLOC_FL_KEEP_SIZE;
  if (what != 0 && what != FALLOC_FL_PUNCH_HOLE && what != FALLOC_FL_ZERO_RANGE)
    throw Error(Errc::unsupported, "fallocate: only size, holes and zeros");
  if (length > max_file || offset > max_file - length)
    throw Error(Errc::too_large, "fallocate: past the largest file");
  if (what == 0 && keep_size) return;  // nothing is set aside here: space is the server's
  write_content(*file, [&](FileContent& content) {
    const auto end = offset + length;
    if (what != 0) {
      const auto size = content.size();
      if (offset < size) content.zero(offset, std::min(end, size) - offset);
    }
    if (!keep_size && end > content.size()) content.truncate(end);
  });
}

std::uint64_t MountedFilesystem::seek(const Handle& file, std::uint64_t offset, int whence) {
  const auto size = file->content->size();
  if (offset >= size) throw Error(Errc::no_data, "lseek: past the end");
  if (whence == SEEK_DATA) return offset;
  if (whence == SEEK_HOLE) return size;
  throw Error(Errc::invalid, "lseek: only data and holes are asked of a filesystem");
}

std::size_t MountedFilesystem::copy_range(const Handle& from, std::uint64_t from_offset,
                                          const Handle& to, std::uint64_t to_offset,
                                          std::size_t length) {
  if (!to->writer) throw Error(Errc::denied, "copy: the target is open for reading");
  const auto size = from->content->size();
  if (from_offset >= size) return 0;

  // A whole published file into an empty one: they share the blocks from now on.
  const bool shared = change_tree([&](Tree& tree) {
    const auto* source = from->node;  // null: of a snapshot, which does not change
    auto& target = *to->node;
    tree.check_writable(target);
    const bool published =
        !source || (source->content == from->content && !source->content->dirty());
    const auto& library = source ? source->library->id : from->snapshot->library;
    const bool whole = from_offset == 0 && to_offset == 0 && length >= size && published &&
                       library == target.library->id && !target.content->dirty() &&
                       target.content->size() == 0 && target.parent;
    if (whole) {
      const auto& id = source ? source->id : from->snapshot->id;
      target.content->replace(id, size);
      target.id = id;
      target.size = size;
      target.mtime = source ? source->mtime : std::time(nullptr);
      target.modifier = tree.user();
      tree.touch(target);
    }
    return std::pair(target.library, whole);
  });
  if (shared) return static_cast<std::size_t>(size);

  Bytes piece(std::min(length, copy_piece));
  std::size_t done = 0;
  while (done < length) {
    const auto want = MutableByteView(piece).first(std::min(piece.size(), length - done));
    const auto got = from->content->read(from_offset + done, want);
    if (got == 0) break;
    write_content(*to, [&](FileContent& content) {
      content.write(to_offset + done, ByteView(piece).first(got));
    });
    done += got;
  }
  return done;
}

Attr MountedFilesystem::mkdir(Ino parent, std::string_view name, mode_t) {
  state_.check_room();
  return change_tree([&](Tree& tree) {
    auto& node = tree.create_folder(tree.node(parent), name);
    return std::pair(node.library, tree.counted(node));
  });
}

void MountedFilesystem::unlink(Ino parent, std::string_view name) {
  change_tree([&](Tree& tree) {
    auto& folder = tree.node(parent);
    tree.remove(folder, name, false);
    return std::pair(folder.library, 0);
  });
}

void MountedFilesystem::rmdir(Ino parent, std::string_view name) {
  change_tree([&](Tree& tree) {
    auto& folder = tree.node(parent);
    tree.remove(folder, name, true);
    return std::pair(folder.library, 0);
  });
}

void MountedFilesystem::rename(Ino parent, std::string_view name, Ino new_parent,
                               std::string_view new_name, unsigned flags) {
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0)
    throw Error(Errc::invalid, "rename: a flag that is not known here");
  state_.check_room();
  change_tree([&](Tree& tree) {
    auto& folder = tree.node(parent);
    tree.rename(folder, name, tree.node(new_parent), new_name, flags);
    return std::pair(folder.library, 0);
  });
}

struct statvfs MountedFilesystem::statfs() {
  constexpr std::uint64_t block = 4096;
  constexpr std::uint64_t unlimited = std::uint64_t{1} << 50U;
  struct statvfs st = {};
  st.f_bsize = st.f_frsize = block;
  st.f_namemax = max_name;
  const std::lock_guard lock(quota_mutex_);
  const auto used = quota_ ? quota_->used : 0;
  const auto total = quota_ && quota_->total ? *quota_->total : used + unlimited;
  st.f_blocks = total / block;
  st.f_bfree = st.f_bavail = total > used ? (total - used) / block : 0;
  st.f_files = 1'000'000'000;
  st.f_ffree = st.f_favail = st.f_files;
  return st;
}

void MountedFilesystem::access(Ino ino, int mask) {
  with_tree([&](Tree& tree) {
    const auto& node = tree.node(ino);
    const auto mode = tree.stat_of(node).st_mode;
    if ((mask & W_OK) != 0) tree.check_writable(node);
    if ((mask & R_OK) != 0) tree.check_open(node);
    if ((mask & X_OK) != 0 && (mode & 0111U) == 0)
      throw Error(Errc::denied, "access: not executable");
    return 0;
  });
}

}  // namespace nacre
