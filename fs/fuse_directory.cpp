// SPDX-License-Identifier: Apache-2.0
//
// Open directories: a listing as it was when it was opened or rewound, so that
// offsets mean the same from page to page.  Offset n is the position after n
// entries; . and .. are the first two.  The kernel keeps listings of directories that are as
// published, and is asked to drop them when they are not any more (Tree::open_folder).
#include <fuse_lowlevel.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/guarded.hpp"
#include "fs/fuse_ops.hpp"
#include "fs/fuse_request.hpp"

namespace nacre {
namespace {

using Entries = std::shared_ptr<const Listing>;

class OpenDirectory {
 public:
  // Where the kernel may have a listing, we do not hear of the pages that it takes from there: then
  // every first page counts as one that comes after rewinding.
  OpenDirectory(const OpenedDirectory& opened, ListingFor purpose)
      : purpose_(purpose), state_(State{opened.entries, opened.published, opened.cacheable}) {}

  [[nodiscard]] ListingFor purpose() const noexcept { return purpose_; }

  // What a page that begins at `offset` is taken from.
  Entries entries_at(off_t offset, Ino ino, Filesystem& fs) {
    const auto [rewound, published] = state_.with(
        [&](State& state) { return std::pair(offset == 0 && state.begun, state.published); });
    auto fresh = rewound && !fs.shows(ino, published) ? fs.list(ino) : nullptr;
    return state_.with([&](State& state) {
      if (fresh) {
        state.entries = std::move(fresh);
        state.published = {};
      }
      state.begun = true;
      return state.entries;
    });
  }

 private:
  struct State {
    Entries entries;
    ObjectId published;  // that they are
    bool begun;          // a page has been read
  };
  const ListingFor purpose_;
  Guarded<State> state_;
};
using DirectoryHandle = std::shared_ptr<OpenDirectory>;

DirectoryHandle& directory_of(const fuse_file_info* fi) noexcept {
  return *reinterpret_cast<DirectoryHandle*>(fi->fh);
}

ListingFor purpose_of(fuse_req_t req) noexcept {
  return side_of(req).askers.asks(fuse_req_ctx(req)->pid) ? ListingFor::attributes
                                                          : ListingFor::names;
}

void opendir(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) noexcept {
  struct Opening {
    std::unique_ptr<DirectoryHandle> box;  // what fh will point to
    OpenedDirectory opened;
  };
  answer(
      req,
      [ino, purpose = purpose_of(req)](Filesystem& fs) {
        auto box = std::make_unique<DirectoryHandle>();
        auto opened = fs.open_directory(ino, purpose);
        try {
          *box = std::make_shared<OpenDirectory>(opened, purpose);
        } catch (...) {
          fs.close_directory(ino);
          throw;
        }
        return Opening{std::move(box), std::move(opened)};
      },
      [fi = *fi](fuse_req_t to, Opening& opening) noexcept {
        auto info = fi;
        info.fh = reinterpret_cast<std::uint64_t>(opening.box.get());
        info.cache_readdir = opening.opened.cacheable;
        info.keep_cache = opening.opened.keep_cache;
        const int rc = fuse_reply_open(to, &info);
        if (rc == 0) (void)opening.box.release();  // releasedir() will have it
        return rc;
      },
      [ino](Filesystem& fs, Opening&) noexcept { fs.close_directory(ino); });
}

void releasedir(fuse_req_t req, fuse_ino_t ino, fuse_file_info* fi) noexcept {
  const std::unique_ptr<DirectoryHandle> box(&directory_of(fi));
  side_of(req).fs.close_directory(ino);
  fuse_reply_err(req, 0);
}

void fsyncdir(fuse_req_t req, fuse_ino_t ino, int, fuse_file_info*) noexcept {
  park(req, and_done([ino](Filesystem& fs) { fs.fsync_directory(ino); }), say_done,
       NothingToUndo{});
}

struct Position {
  const char* name;
  const struct stat* st;  // none: . or ..
};

Position at(const Listing& entries, std::size_t n) noexcept {
  if (n < 2) return {n == 0 ? "." : "..", nullptr};
  return {entries[n - 2].name.c_str(), &entries[n - 2].st};
}

struct stat shown(const Position& position) noexcept {
  if (position.st != nullptr) return *position.st;
  struct stat st = {};
  st.st_ino = 0xffffffff;  // unknown; readdir(3) passes over 0
  st.st_mode = S_IFDIR;
  return st;
}

struct Page {
  std::unique_ptr<char[]> bytes = {};
  std::size_t used = 0;
  std::vector<Ino> counted = {};  // by lookup(), to be given back if the page gets lost
};

// Lays entries into a page while they fit; `add(to, room, position, next)` answers
// how many bytes it takes, having taken them if that is at most `room`.
template <class Add>
void lay_out(Page& page, const Listing& entries, off_t offset, std::size_t size, Add add) {
  page.bytes = std::make_unique_for_overwrite<char[]>(size);
  for (auto n = static_cast<std::size_t>(offset); n < entries.size() + 2; ++n) {
    const auto room = size - page.used;
    const auto need =
        add(page.bytes.get() + page.used, room, at(entries, n), static_cast<off_t>(n + 1));
    if (need > room) break;
    page.used += need;
  }
}

constexpr auto reply_page = [](fuse_req_t req, Page& page) noexcept {
  return fuse_reply_buf(req, page.bytes.get(), page.used);
};

constexpr auto forget_page = [](Filesystem& fs, Page& page) noexcept {
  for (const auto ino : page.counted) fs.forget(ino, 1);
};

void readdir(fuse_req_t req, fuse_ino_t ino, std::size_t size, off_t offset,
             fuse_file_info* fi) noexcept {
  answer(
      req,
      [req, ino, size, offset, directory = directory_of(fi)](Filesystem& fs) {
        const auto entries = directory->entries_at(offset, ino, fs);
        const auto add = [req](char* to, std::size_t room, const Position& position, off_t next) {
          const auto st = shown(position);
          return fuse_add_direntry(req, to, room, position.name, &st, next);
        };
        Page page;
        lay_out(page, *entries, offset, size, add);
        return page;
      },
      reply_page);
}

// The node of an entry if it can be had from memory.
std::optional<Attr> looked_up(Filesystem& fs, Ino parent, const char* name) {
  try {
    const Hurry hurry;
    return fs.lookup(parent, name);
  } catch (const WouldBlock&) {
    return std::nullopt;
  } catch (const Error&) {  // went meanwhile, or whoever asks for it will be told
    return std::nullopt;
  }
}

// Each entry with what lookup would say, counted; files only for who asks for them.  One that
// cannot be looked up without waiting is given plain, and the kernel asks when it needs more.
void readdirplus(fuse_req_t req, fuse_ino_t ino, std::size_t size, off_t offset,
                 fuse_file_info* fi) noexcept {
  answer(
      req,
      [req, ino, size, offset, purpose = purpose_of(req),
       directory = directory_of(fi)](Filesystem& fs) {
        const auto entries = directory->entries_at(offset, ino, fs);
        const bool files =
            directory->purpose() == ListingFor::attributes || purpose == ListingFor::attributes;
        Page page;
        page.counted.reserve(std::min(entries->size(), size / sizeof(struct stat) + 1));
        const auto add = [&](char* to, std::size_t room, const Position& position, off_t next) {
          const auto need = fuse_add_direntry_plus(req, nullptr, 0, position.name, nullptr, next);
          if (need > room) return need;
          fuse_entry_param entry = {};
          entry.attr = shown(position);
          if (position.st != nullptr && (files || S_ISDIR(position.st->st_mode))) {
            if (const auto attr = looked_up(fs, ino, position.name)) {
              page.counted.push_back(attr->ino);
              entry.ino = attr->ino;
              entry.attr = attr->st;
              entry.attr_timeout = entry.entry_timeout = believed_seconds;
            }
          }
          return fuse_add_direntry_plus(req, to, room, position.name, &entry, next);
        };
        try {
          lay_out(page, *entries, offset, size, add);
        } catch (...) {
          forget_page(fs, page);
          throw;
        }
        return page;
      },
      reply_page, forget_page);
}

}  // namespace

void add_directory_ops(fuse_lowlevel_ops& table) noexcept {
  table.opendir = opendir;
  table.readdir = readdir;
  table.readdirplus = readdirplus;
  table.releasedir = releasedir;
  table.fsyncdir = fsyncdir;
}

}  // namespace nacre
