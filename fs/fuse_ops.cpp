// SPDX-License-Identifier: Apache-2.0
#include "fs/fuse_ops.hpp"

#include <fcntl.h>
#include <fuse_lowlevel.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>

#include "fs/fuse_request.hpp"
#include "fs/snapshots.hpp"

namespace nacre {
namespace {

std::uint64_t unsigned_of(off_t offset) noexcept { return static_cast<std::uint64_t>(offset); }

// --- nodes ---------------------------------------------------------------

int reply_entry(fuse_req_t req, Attr& attr) noexcept {
  fuse_entry_param entry = {};
  entry.ino = attr.ino;
  entry.attr = attr.st;
  entry.attr_timeout = entry.entry_timeout = believed_seconds;
  return fuse_reply_entry(req, &entry);
}

constexpr auto forget_again = [](Filesystem& fs, Attr& attr) noexcept { fs.forget(attr.ino, 1); };

int reply_lookup(fuse_req_t req, Attr& attr) noexcept {
  if (S_ISREG(attr.st.st_mode)) side_of(req).askers.asked(fuse_req_ctx(req)->pid);
  return reply_entry(req, attr);
}

void lookup(fuse_req_t req, fuse_ino_t parent, const char* name) noexcept {
  answer(
      req, [parent, name = std::string(name)](Filesystem& fs) { return fs.lookup(parent, name); },
      reply_lookup, forget_again);
}

void forget(fuse_req_t req, fuse_ino_t ino, std::uint64_t lookups) noexcept {
  side_of(req).fs.forget(ino, lookups);
  fuse_reply_none(req);
}

void forget_multi(fuse_req_t req, std::size_t count, fuse_forget_data* nodes) noexcept {
  for (std::size_t i = 0; i < count; ++i) side_of(req).fs.forget(nodes[i].ino, nodes[i].nlookup);
  fuse_reply_none(req);
}

int reply_attr(fuse_req_t req, Attr& attr) noexcept {
  return fuse_reply_attr(req, &attr.st, believed_seconds);
}

void getattr(fuse_req_t req, fuse_ino_t ino, fuse_file_info*) noexcept {
  answer(
      req, [ino](Filesystem& fs) { return fs.getattr(ino); }, reply_attr);
}

SetAttr change_of(const struct stat& st, int to_set) noexcept {
  SetAttr change;
  if (to_set & FUSE_SET_ATTR_SIZE) change.size = unsigned_of(st.st_size);
  if (to_set & FUSE_SET_ATTR_MODE) change.mode = st.st_mode;
  if (to_set & FUSE_SET_ATTR_UID) change.uid = st.st_uid;
  if (to_set & FUSE_SET_ATTR_GID) change.gid = st.st_gid;
  if (to_set & FUSE_SET_ATTR_MTIME_NOW)
    change.mtime = std::time(nullptr);
  else if (to_set & FUSE_SET_ATTR_MTIME)
    change.mtime = st.st_mtime;
  return change;
}

void setattr(fuse_req_t req, fuse_ino_t ino, struct stat* st, int to_set,
             fuse_file_info*) noexcept {
  constexpr int ours = FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID |
                       FUSE_SET_ATTR_GID | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW;
  if ((to_set & ours) == 0) return getattr(req, ino, nullptr);  // a time that nobody keeps
  answer(
      req,
      [ino, change = change_of(*st, to_set)](Filesystem& fs) { return fs.setattr(ino, change); },
      reply_attr);
}

void mkdir(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) noexcept {
  answer(
      req,
      [parent, mode, name = std::string(name)](Filesystem& fs) {
        return fs.mkdir(parent, name, mode);
      },
      reply_entry, forget_again);
}

void mknod(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t) noexcept {
  if (!S_ISREG(mode)) {
    fuse_reply_err(req, EPERM);
    return;
  }
  answer(
      req,
      [parent, mode, name = std::string(name)](Filesystem& fs) {
        auto opened = fs.create(parent, name, mode, O_WRONLY | O_EXCL);
        fs.flush(opened.handle);
        fs.release(opened.handle);
        return opened.attr;
      },
      reply_entry, forget_again);
}

void unlink(fuse_req_t req, fuse_ino_t parent, const char* name) noexcept {
  answer(req,
         and_done([parent, name = std::string(name)](Filesystem& fs) { fs.unlink(parent, name); }),
         say_done);
}

void rmdir(fuse_req_t req, fuse_ino_t parent, const char* name) noexcept {
  answer(req,
         and_done([parent, name = std::string(name)](Filesystem& fs) { fs.rmdir(parent, name); }),
         say_done);
}

void rename(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned flags) noexcept {
  answer(
      req,
      and_done([parent, name = std::string(name), new_parent, new_name = std::string(new_name),
                flags](Filesystem& fs) { fs.rename(parent, name, new_parent, new_name, flags); }),
      say_done);
}

// What a library cannot hold.  EPERM is what link(2) and symlink(2) say of such a
// filesystem, and what git, cp and tar have a way around for.
void symlink(fuse_req_t req, const char*, fuse_ino_t parent, const char*) noexcept {
  fuse_reply_err(req, Snapshots::holds(parent) ? EROFS : EPERM);
}

void link(fuse_req_t req, fuse_ino_t, fuse_ino_t parent, const char*) noexcept {
  fuse_reply_err(req, Snapshots::holds(parent) ? EROFS : EPERM);
}

void readlink(fuse_req_t req, fuse_ino_t) noexcept { fuse_reply_err(req, EINVAL); }

// --- open files ----------------------------------------------------------

Handle& handle_of(const fuse_file_info* fi) noexcept { return *reinterpret_cast<Handle*>(fi->fh); }

struct Opening {
  Opened opened;
  std::unique_ptr<Handle> box;  // what fh will point to
};

Opening boxed(Filesystem& fs, Opened opened) {
  try {
    auto box = std::make_unique<Handle>(opened.handle);
    return {std::move(opened), std::move(box)};
  } catch (...) {
    fs.release(opened.handle);
    throw;
  }
}

fuse_file_info info_of(fuse_file_info fi, const Opening& opening) noexcept {
  fi.fh = reinterpret_cast<std::uint64_t>(opening.box.get());
  fi.keep_cache = opening.opened.keep_cache;
  fi.noflush = (fi.flags & O_ACCMODE) == O_RDONLY;  // nothing to flush: one request less
  return fi;
}

void open(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) noexcept {
  const bool only_here =
      (fi->flags & O_ACCMODE) == O_RDONLY && side_of(req).shield.covers(fuse_req_ctx(req)->pid);
  const auto work = [ino, only_here, flags = fi->flags](Filesystem& fs) {
    const OnlyHere caller(only_here);
    return boxed(fs, fs.open(ino, flags));
  };
  const auto reply = [fi = *fi](fuse_req_t to, Opening& opening) noexcept {
    const auto info = info_of(fi, opening);
    const int rc = fuse_reply_open(to, &info);
    if (rc == 0) (void)opening.box.release();  // release() will have it
    return rc;
  };
  const auto undo = [](Filesystem& fs, Opening& opening) noexcept {
    fs.release(opening.opened.handle);
  };
  if (only_here)  // it looks for each block of the file
    park(req, work, reply, undo);
  else
    answer(req, work, reply, undo);
}

void create(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode,
            fuse_file_info* fi) noexcept {
  answer(
      req,
      [parent, mode, flags = fi->flags, name = std::string(name)](Filesystem& fs) {
        auto opened = fs.create(parent, name, mode, flags);
        const auto ino = opened.attr.ino;
        try {
          return boxed(fs, std::move(opened));
        } catch (...) {
          fs.forget(ino, 1);
          throw;
        }
      },
      [fi = *fi](fuse_req_t to, Opening& opening) noexcept {
        fuse_entry_param entry = {};
        entry.ino = opening.opened.attr.ino;
        entry.attr = opening.opened.attr.st;
        entry.attr_timeout = entry.entry_timeout = believed_seconds;
        const auto info = info_of(fi, opening);
        const int rc = fuse_reply_create(to, &entry, &info);
        if (rc == 0) (void)opening.box.release();
        return rc;
      },
      [](Filesystem& fs, Opening& opening) noexcept {
        fs.release(opening.opened.handle);
        fs.forget(opening.opened.attr.ino, 1);
      });
}

// Where this thread reads to.  Kept from request to request: a fresh megabyte
// each time would be page faults for the most part.
MutableByteView read_buffer(std::size_t size) {
  static thread_local std::unique_ptr<std::uint8_t[]> bytes;
  static thread_local std::size_t capacity = 0;
  if (size > capacity) {
    bytes = std::make_unique_for_overwrite<std::uint8_t[]>(size);
    capacity = size;
  }
  return {bytes.get(), size};
}

void read(fuse_req_t req, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* fi) noexcept {
  answer(
      req,
      [file = handle_of(fi), size, offset](Filesystem& fs) -> ByteView {
        const auto buffer = read_buffer(size);
        return buffer.first(fs.read(file, unsigned_of(offset), buffer));
      },
      [](fuse_req_t to, ByteView& bytes) noexcept {  // on the thread of the work
        return fuse_reply_buf(to, reinterpret_cast<const char*>(bytes.data()), bytes.size());
      });
}

constexpr auto reply_count = [](fuse_req_t req, std::size_t& count) noexcept {
  return fuse_reply_write(req, count);
};

void write(fuse_req_t req, fuse_ino_t, const char* data, std::size_t size, off_t offset,
           fuse_file_info* fi) noexcept {
  const auto writing = [file = handle_of(fi), offset](auto bytes) {
    return [file, offset, bytes = std::move(bytes)](Filesystem& fs) {
      fs.write(file, unsigned_of(offset), bytes);
      return bytes.size();
    };
  };
  const auto bytes = as_bytes({data, size});
  auto borrowed = writing(bytes);
  auto reply = reply_count;
  auto undo = NothingToUndo{};
  if (answer_now(req, borrowed, reply, undo)) return;
  try {
    park(req, writing(Bytes(bytes.begin(), bytes.end())), reply, undo);
  } catch (const std::bad_alloc&) {
    fuse_reply_err(req, ENOMEM);
  }
}

void flush(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) noexcept {
  answer(req, and_done([file = handle_of(fi)](Filesystem& fs) { fs.flush(file); }), say_done);
}

// Waits for the disk, so a worker does it.
void fsync(fuse_req_t req, fuse_ino_t, int, fuse_file_info* fi) noexcept {
  park(req, and_done([file = handle_of(fi)](Filesystem& fs) { fs.fsync(file); }), say_done,
       NothingToUndo{});
}

void release(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) noexcept {
  const std::unique_ptr<Handle> box(&handle_of(fi));
  side_of(req).fs.release(*box);
  fuse_reply_err(req, 0);
}

void fallocate(fuse_req_t req, fuse_ino_t, int mode, off_t offset, off_t length,
               fuse_file_info* fi) noexcept {
  answer(req, and_done([file = handle_of(fi), mode, offset, length](Filesystem& fs) {
           fs.fallocate(file, mode, unsigned_of(offset), unsigned_of(length));
         }),
         say_done);
}

void lseek(fuse_req_t req, fuse_ino_t, off_t offset, int whence, fuse_file_info* fi) noexcept {
  answer(
      req,
      [file = handle_of(fi), offset, whence](Filesystem& fs) {
        return fs.seek(file, unsigned_of(offset), whence);
      },
      [](fuse_req_t to, std::uint64_t& where) noexcept {
        return fuse_reply_lseek(to, static_cast<off_t>(where));
      });
}

void copy_file_range(fuse_req_t req, fuse_ino_t, off_t from, fuse_file_info* fi_from, fuse_ino_t,
                     off_t to, fuse_file_info* fi_to, std::size_t length, int) noexcept {
  park(
      req,
      [source = handle_of(fi_from), from, target = handle_of(fi_to), to, length](Filesystem& fs) {
        return fs.copy_range(source, unsigned_of(from), target, unsigned_of(to), length);
      },
      reply_count, NothingToUndo{});
}

// --- the rest ------------------------------------------------------------

void statfs(fuse_req_t req, fuse_ino_t) noexcept {
  answer(
      req, [](Filesystem& fs) { return fs.statfs(); },
      [](fuse_req_t to, struct statvfs& st) noexcept { return fuse_reply_statfs(to, &st); });
}

// For access(2) and chdir(2), where the kernel does not check modes itself.
void access(fuse_req_t req, fuse_ino_t ino, int mask) noexcept {
  answer(req, and_done([ino, mask](Filesystem& fs) { fs.access(ino, mask); }), say_done);
}

// Attributes: the kernel asks for the length with size 0, then for the bytes.
int reply_bytes(fuse_req_t req, std::string_view bytes, std::size_t size) noexcept {
  if (size == 0) return fuse_reply_xattr(req, bytes.size());
  if (size < bytes.size()) return fuse_reply_err(req, ERANGE);
  return fuse_reply_buf(req, bytes.data(), bytes.size());
}

void getxattr(fuse_req_t req, fuse_ino_t ino, const char* name, std::size_t size) noexcept {
  const std::string_view asked = name;
  // That there are none of a kind at all: ls(1) does not ask again then for every file.
  if (asked.starts_with("system.") || asked.starts_with("security.")) {
    fuse_reply_err(req, EOPNOTSUPP);
    return;
  }
  if (!asked.starts_with("user.nacre.")) {
    fuse_reply_err(req, ENODATA);
    return;
  }
  answer(
      req, [ino, name = std::string(asked)](Filesystem& fs) { return fs.get_xattr(ino, name); },
      [size](fuse_req_t to, std::optional<std::string>& value) noexcept {
        return value ? reply_bytes(to, *value, size) : fuse_reply_err(to, ENODATA);
      });
}

void listxattr(fuse_req_t req, fuse_ino_t ino, std::size_t size) noexcept {
  answer(
      req,
      [ino](Filesystem& fs) {
        std::string names;
        for (const auto& name : fs.list_xattr(ino)) names.append(name).push_back('\0');
        return names;
      },
      [size](fuse_req_t to, std::string& names) noexcept { return reply_bytes(to, names, size); });
}

void init(void* userdata, fuse_conn_info* conn) noexcept {
  const auto wanted =
      static_cast<unsigned>(FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS | FUSE_CAP_ASYNC_READ |
                            FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_HANDLE_KILLPRIV);
  // Bytes are needed in memory anyway, and we say ourselves which pages are stale.
  // With ASYNC_DIO no signal would end a direct read.  Which listings tell of files is our guess,
  // not the kernel's (Askers).
  const auto unwanted = static_cast<unsigned>(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_WRITEBACK_CACHE |
                                              FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_SPLICE_READ |
                                              FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_POSIX_LOCKS |
                                              FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_ASYNC_DIO);
  conn->want = (conn->want | (wanted & conn->capable)) & ~unwanted;
  conn->max_write = 1U << 20U;
  conn->max_readahead = 8U << 20U;  // the kernel takes what it allows
  conn->time_gran = 1'000'000'000;  // a library keeps whole seconds
  const auto& side = *static_cast<FuseSide*>(userdata);
  try {
    side.ready();
  } catch (const std::exception& e) {
    log::error(e.what());
  }
}

}  // namespace

const fuse_lowlevel_ops& fuse_ops() noexcept {
  // Left out, so that the kernel does them or says EOPNOTSUPP without asking:
  // locks, setxattr, removexattr, ioctl, poll.
  static const auto ops = [] {
    fuse_lowlevel_ops table = {};
    table.init = init;
    table.lookup = lookup;
    table.forget = forget;
    table.forget_multi = forget_multi;
    table.getattr = getattr;
    table.setattr = setattr;
    table.mknod = mknod;
    table.mkdir = mkdir;
    table.unlink = unlink;
    table.rmdir = rmdir;
    table.rename = rename;
    table.symlink = symlink;
    table.link = link;
    table.readlink = readlink;
    table.open = open;
    table.create = create;
    table.read = read;
    table.write = write;
    table.flush = flush;
    table.fsync = fsync;
    table.release = release;
    table.fallocate = fallocate;
    table.lseek = lseek;
    table.copy_file_range = copy_file_range;
    table.statfs = statfs;
    table.access = access;
    table.getxattr = getxattr;
    table.listxattr = listxattr;
    add_directory_ops(table);
    return table;
  }();
  return ops;
}

}  // namespace nacre
