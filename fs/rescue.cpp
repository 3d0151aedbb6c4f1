// SPDX-License-Identifier: Apache-2.0
#include "fs/rescue.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <system_error>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/json.hpp"
#include "base/log.hpp"

namespace nacre {
namespace {

namespace stdfs = std::filesystem;

constexpr std::size_t piece_size = extent_size;
constexpr int most_failures = 3;  // of one file, after which nobody is asked for more of it
constexpr int most_tries = 3;     // with a file that changes meanwhile
constexpr std::string_view changed_meanwhile = "it was changed while it was written out";

[[noreturn]] void fail(const stdfs::path& path, int error) {
  const auto code = error == ENOSPC || error == EDQUOT ? Errc::full : Errc::denied;
  throw Error(code, path.string() + ": " + std::generic_category().message(error));
}

bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

void write_at(int out, std::uint64_t offset, ByteView bytes) {
  while (!bytes.empty()) {
    const auto n = ::pwrite(out, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("writing", errno);
    offset += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

// A file that nobody had before: NAME, NAME.2, …
Fd create_new(stdfs::path& path, mode_t mode) {
  const auto wanted = path;
  for (int n = 2;; ++n) {
    Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (file.get() >= 0) return file;
    if (errno != EEXIST) fail(path, errno);
    path = wanted.string() + "." + std::to_string(n);
  }
}

// What a file is called until it is whole; no longer than a name can be.
stdfs::path incomplete(const stdfs::path& path) {
  constexpr std::string_view mark = ".incomplete";
  auto name = path.filename().string();
  name.resize(std::min(name.size(), max_name - mark.size() - 4));
  return path.parent_path() / (name + std::string(mark));
}

// Gives a file that is whole its name; where that is taken: NAME.2, …
void name_whole(const stdfs::path& path, const stdfs::path& wanted) {
  auto target = wanted;
  for (int n = 2;; ++n) {
    if (::renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) == 0)
      return;
    if (errno == EINVAL && !stdfs::exists(stdfs::symlink_status(target)))  // a simpler disk
      return stdfs::rename(path, target);
    if (errno != EEXIST && errno != EINVAL) fail(target, errno);
    target = wanted.string() + "." + std::to_string(n);
  }
}

}  // namespace

// A file with unsent contents, or a folder that was made here.
struct Rescue::Item {
  stdfs::path path;
  std::shared_ptr<FileContent> content;  // null: a folder
  NodeNumber number = 0;
  mode_t mode = 0;
  std::int64_t mtime = 0;
};

// Of one library.
struct Rescue::Found {
  std::vector<Item> items;
  std::multimap<ObjectId, std::string> removed;
  std::vector<std::pair<ObjectId, std::string>> appeared;  // with published contents
  std::vector<std::string> changed;                        // attributes only
};

Rescue::Rescue(const stdfs::path& folder, Tree& tree, std::mutex& tree_mutex, State& state)
    : folder_(folder), tree_(tree), tree_mutex_(tree_mutex), state_(state) {
  if (::mkdir(folder_.c_str(), 0700) == 0) return;
  if (errno != EEXIST) fail(folder_, errno);
  std::error_code error;
  if (!stdfs::is_directory(folder_, error) || !stdfs::is_empty(folder_, error) || error)
    throw Error(Errc::not_empty, folder_.string() +
                                     ": neither new nor an empty folder; name one, as nothing "
                                     "is ever written over");
}

// With the tree's mutex held.
void Rescue::collect(const Node& folder, const stdfs::path& path, Found& found) const {
  std::shared_ptr<const Directory> published;
  try {
    published = tree_.published(folder);
  } catch (const NeedDirectory&) {  // not known offline: less can be said of what was there
  } catch (const NeedLibrary&) {
  }
  for (const auto& [name, change] : folder.folder->changes) {
    const auto* dirent = published ? published->find(name) : nullptr;
    const auto here = path / name;
    if (change.removed) {
      found.removed.emplace(dirent ? dirent->id : ObjectId{}, here.string());
      continue;
    }
    const auto& node = *folder.folder->children.at(name);
    if (node.is_directory()) {
      const bool made = node.id.is_empty() && !(dirent && dirent->is_directory());
      if (made) found.items.push_back({here, nullptr, 0, 0755, node.mtime});
      if (!made && published && (!dirent || !dirent->is_directory()))
        found.appeared.emplace_back(node.id, here.string());
      collect(node, here, found);
    } else if (node.content && node.content->dirty()) {
      const mode_t mode = (node.mode & 0100U) != 0 ? 0777 : 0666;
      found.items.push_back({here, node.content, node.number, mode, node.mtime});
    } else if (dirent && dirent->id == node.id) {
      found.changed.push_back(here.string());
    } else {
      found.appeared.emplace_back(node.id, here.string());
    }
  }
}

stdfs::path Rescue::folder_of(const Library& library) {
  auto name = library.shown_name.empty() ? library.name : library.shown_name;
  std::ranges::replace(name, '/', '_');
  if (name_fault(name) != nullptr || name.size() > max_name - 20) name = library.id.str();
  if (!taken_.insert(name).second) {
    name += " (" + library.id.str().substr(0, 8) + ")";
    taken_.insert(name);
  }
  return folder_ / name;
}

void Rescue::add(Library& library) {
  Found found;
  {
    const std::lock_guard lock(tree_mutex_);
    collect(*library.top, {}, found);
  }
  if (found.items.empty() && found.removed.empty() && found.appeared.empty() &&
      found.changed.empty())
    return;
  const auto folder = folder_of(library);
  for (const auto& item : found.items) {
    const auto relative = folder.filename() / item.path;
    try {
      write(library.id, folder, item);
    } catch (const Error& error) {
      result_.incomplete.push_back({relative.string(), error.what()});
    } catch (const stdfs::filesystem_error& error) {
      result_.incomplete.push_back({relative.string(), error.code().message()});
    }
  }
  // Folders last, from the inside out: writing into them changed their times.
  std::ranges::reverse(found.items);
  for (const auto& item : found.items) {
    if (item.content) continue;
    const std::array<timespec, 2> times = {timespec{item.mtime, 0}, timespec{item.mtime, 0}};
    ::utimensat(AT_FDCWD, (folder / item.path).c_str(), times.data(), AT_SYMLINK_NOFOLLOW);
  }
  list_changes(folder, library, found);
}

void Rescue::write(const LibraryId& library, const stdfs::path& folder, const Item& item) {
  const auto path = folder / item.path;
  if (!item.content) {
    stdfs::create_directories(path);
    return;
  }
  stdfs::create_directories(path.parent_path());
  // What is only in memory shows in state from now on, also where the disk takes no more.
  const auto ticket = item.content->save();
  try {
    state_.commit(ticket);
  } catch (const Error& error) {
    log::warning(error.what());
  }
  auto name = incomplete(path);  // also when this is ended in the middle
  const Fd out = create_new(name, item.mode);
  std::string why;
  try {
    why = copy(library, item, out.get());
    const std::array<timespec, 2> times = {timespec{item.mtime, 0}, timespec{item.mtime, 0}};
    ::futimens(out.get(), times.data());
    struct stat st = {};
    if (::fstat(out.get(), &st) == 0) result_.bytes += static_cast<std::uint64_t>(st.st_size);
  } catch (const Error& error) {
    why = error.what();
  }
  ++result_.files;
  if (why.empty())
    name_whole(name, path);
  else
    result_.incomplete.push_back({name.lexically_relative(folder_).string(), why});
}

// What kept the copy from being whole, or nothing.
std::string Rescue::copy(const LibraryId& library, const Item& item, int out) {
  auto& content = *item.content;
  std::string why;
  Bytes piece(piece_size);
  for (int tries = 1; tries <= most_tries; ++tries) {
    why.clear();
    int failures = 0;
    const auto version = content.version();
    const auto size = content.size();
    if (::ftruncate(out, 0) != 0 || ::ftruncate(out, static_cast<off_t>(size)) != 0)
      fail("writing", errno);
    for (std::uint64_t offset = 0; offset < size; offset += piece_size) {
      const auto length =
          static_cast<std::size_t>(std::min<std::uint64_t>(piece_size, size - offset));
      const auto missing =
          copy_piece(library, item, out, offset, MutableByteView(piece).first(length), failures);
      if (why.empty()) why = missing;
    }
    if (content.version() == version) return why;
    why = changed_meanwhile;
    state_.commit(content.save());
  }
  return why;
}

// One extent of it.  Zeros are left out: the file is made of them.
std::string Rescue::copy_piece(const LibraryId& library, const Item& item, int out,
                               std::uint64_t offset, MutableByteView piece, int& failures) {
  std::string why = "its published part cannot be had";
  if (failures < most_failures) {
    std::optional<std::size_t> got;
    try {
      got = item.content->read(offset, piece);
    } catch (const Error& error) {
      why = error.what();
      ++failures;
    }
    if (got && *got != piece.size()) return std::string(changed_meanwhile);
    if (got && !all_zero(piece)) write_at(out, offset, piece);
    if (got) return {};
  }
  // What was written here, as state has it.
  const auto file = state_.get(record_key::file(library, item.number));
  const auto shown = file ? decode_file(*file).base_limit : offset + piece.size();
  const auto bytes = state_.get(record_key::extent(library, item.number, offset / extent_size));
  std::uint64_t known = 0;  // up to here nothing is missing
  if (bytes) {
    const auto extent = decode_extent(*bytes);
    std::size_t at = 0;
    for (const auto& [begin, end] : extent.valid) {
      write_at(out, offset + begin, extent.data.subspan(at, end - begin));
      at += end - begin;
      if (begin <= known) known = end;
    }
  }
  return offset + known < std::min(shown, offset + piece.size()) ? why : std::string();
}

void Rescue::list_changes(const stdfs::path& folder, const Library& library, const Found& found) {
  auto removed = found.removed;
  std::string lines;
  const auto say = [&](std::string_view what, const std::string& path) {
    lines += what;
    append_json_string(lines, path);
    lines += '\n';
    ++result_.changes;
  };
  for (const auto& [id, path] : found.appeared) {
    const auto old = id.is_empty() ? removed.end() : removed.find(id);
    if (old == removed.end()) {
      say("moved or copied here, contents are on the server: ", path);
      continue;
    }
    std::string text = "renamed: ";
    append_json_string(text, old->second);
    say(text + " -> ", path);
    removed.erase(old);
  }
  std::vector<std::string> gone;
  for (const auto& [id, path] : removed) gone.push_back(path);
  std::ranges::sort(gone);
  for (const auto& path : gone) say("removed: ", path);
  for (const auto& path : found.changed) say("time or exec bit changed: ", path);
  if (lines.empty()) return;
  lines = "# Changes in library " + library.id.str() +
          " that are not on the server, and that are no files.\n" + lines;
  stdfs::path path = folder.string() + ".changes.txt";
  const Fd out = create_new(path, 0600);
  write_at(out.get(), 0, as_bytes(lines));
}

Rescued Rescue::finish() {
  const Fd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::syncfs(folder.get()) != 0) fail(folder_, errno);
  return std::move(result_);
}

}  // namespace nacre
