// SPDX-License-Identifier: Apache-2.0
#include "remote/object_store.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "remote/disk_file.hpp"

namespace nacre {

namespace {

namespace filesystem = std::filesystem;

constexpr std::string_view commits = "commits", objects = "fs", blocks = "blocks";
constexpr std::size_t max_commit = std::size_t{1} << 20U;

Bytes must(std::optional<Bytes> bytes, const char* what, const ObjectId& id) {
  // A real server's object is never empty: a power cut left this.
  if (!bytes || bytes->empty()) {
    throw Error(Errc::not_found, std::string(what) + " " + id.hex() + ": is not there");
  }
  return std::move(*bytes);
}

// The entries of a folder, or none where there is no such folder.
std::vector<filesystem::path> list(const filesystem::path& folder) {
  std::vector<filesystem::path> entries;
  std::error_code error;
  for (filesystem::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    entries.push_back(it->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw Error(Errc::denied, folder.string() + ": cannot be listed: " + error.message());
  }
  return entries;
}

// The folder's lock, among threads and processes alike, until destroyed.
Fd lock(const filesystem::path& folder) {
  Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  while (fd.get() >= 0 && ::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) fd.reset();
  }
  if (fd.get() < 0) {
    throw Error(Errc::read_only, folder.string() + ": cannot be locked: " + std::strerror(errno));
  }
  return fd;
}

}  // namespace

ObjectStore::ObjectStore(filesystem::path root, Access access)
    : root_(std::move(root)), access_(access) {
  if (access_ == Access::read_write) {
    std::error_code error;
    for (const auto* kind : {"commits", "fs", "blocks", "heads"}) {
      filesystem::create_directories(root_ / kind, error);
      if (error) {
        throw Error(Errc::read_only, root_.string() + ": cannot be written: " + error.message());
      }
    }
  }
  has_heads_ = filesystem::is_directory(root_ / "heads");
}

filesystem::path ObjectStore::path(std::string_view kind, const LibraryId& library,
                                   const ObjectId& id) const {
  const auto name = id.hex();
  return root_ / kind / library.text() / name.substr(0, 2) / name.substr(2);
}

filesystem::path ObjectStore::head_path(const LibraryId& library) const {
  return root_ / "heads" / library.text();
}

void ObjectStore::check_writable() const {
  if (access_ == Access::read_only) {
    throw Error(Errc::read_only, root_.string() + ": is open for reading only");
  }
}

void ObjectStore::put(const filesystem::path& path, ByteView bytes) const {
  check_writable();
  if (!size_of_file(path)) write_whole_file(path, bytes, false);
}

std::vector<LibraryId> ObjectStore::libraries() const {
  std::vector<LibraryId> result;
  for (const auto& entry : list(root_ / (has_heads_ ? "heads" : "commits"))) {
    if (const auto id = LibraryId::parse(entry.filename().native())) result.push_back(*id);
  }
  std::ranges::sort(result);
  return result;
}

void ObjectStore::create(const LibraryId& library) {
  check_writable();
  if (read_head(library)) throw Error(Errc::exists, "library " + library.str() + ": exists");
  std::error_code error;
  for (const auto kind : {commits, objects, blocks}) {
    filesystem::create_directories(root_ / kind / library.text(), error);
    if (error) throw Error(Errc::full, root_.string() + ": " + error.message());
  }
}

void ObjectStore::remove(const LibraryId& library) {
  check_writable();
  const auto held = lock(root_ / "heads");
  std::error_code error;
  // The head first: without it the library is gone, whatever else is left.
  filesystem::remove(head_path(library), error);
  for (const auto kind : {commits, objects, blocks}) {
    if (!error) filesystem::remove_all(root_ / kind / library.text(), error);
  }
  if (error) throw Error(Errc::read_only, root_.string() + ": " + error.message());
}

std::optional<ObjectId> ObjectStore::read_head(const LibraryId& library) const {
  const auto bytes = read_whole_file(head_path(library), 64);
  if (!bytes) return std::nullopt;
  const auto id = ObjectId::parse(as_text(*bytes).substr(0, 40));
  if (!id) throw Error(Errc::corrupt, head_path(library).string() + ": is not a commit's id");
  return id;
}

ObjectId ObjectStore::head(const LibraryId& library) const {
  if (!has_heads_) {
    const auto known = tips_.with([&](const auto& tips) -> std::optional<ObjectId> {
      const auto at = tips.find(library);
      return at == tips.end() ? std::nullopt : std::optional(at->second);
    });
    if (known) return *known;
    const auto found = tip(library);
    tips_.with([&](auto& tips) { tips[library] = found; });
    return found;
  }
  const auto id = read_head(library);
  if (!id) throw Error(Errc::not_found, "library " + library.str() + ": is not there");
  return *id;
}

ObjectId ObjectStore::tip(const LibraryId& library) const {
  std::set<ObjectId> parents;
  std::vector<std::pair<std::int64_t, ObjectId>> all;
  for (const auto& folder : list(root_ / commits / library.text())) {
    if (!filesystem::is_directory(folder)) continue;
    for (const auto& entry : list(folder)) {
      const auto id = ObjectId::parse(folder.filename().string() + entry.filename().string());
      if (!id) continue;
      try {
        const auto read = commit(library, *id);
        all.emplace_back(read.ctime, *id);
        if (read.parent) parents.insert(*read.parent);
        if (read.second_parent) parents.insert(*read.second_parent);
      } catch (const Error& e) {
        // One damaged commit does not hide the rest of a backup.
        log::warning(std::string(e.what()) + "; left out in search of the newest state");
      }
    }
  }
  const std::pair<std::int64_t, ObjectId>* newest = nullptr;
  for (const auto& candidate : all) {
    if (parents.contains(candidate.second)) continue;
    if (newest == nullptr || *newest < candidate) newest = &candidate;
  }
  if (newest == nullptr) {
    throw Error(Errc::not_found, "library " + library.str() + ": has no readable commit");
  }
  return newest->second;
}

bool ObjectStore::move_head(const LibraryId& library, const ObjectId& expected,
                            const ObjectId& next) {
  check_writable();
  // Whatever `next` needs was written before; once the head names it, it must outlive a power cut.
  sync_file_system(root_);
  const auto held = lock(root_ / "heads");
  if (read_head(library).value_or(ObjectId{}) != expected) return false;
  const auto text = next.hex() + "\n";
  write_whole_file(head_path(library), as_bytes(text), true);
  return true;
}

Commit ObjectStore::commit(const LibraryId& library, const ObjectId& id) const {
  const auto bytes = must(read_whole_file(path(commits, library, id), max_commit), "commit", id);
  auto commit = read_commit(id, bytes);
  if (commit.library != library) {
    throw Error(Errc::corrupt, "commit " + id.hex() + ": is of another library");
  }
  return commit;
}

bool ObjectStore::has_commit(const LibraryId& library, const ObjectId& id) const {
  return size_of_file(path(commits, library, id)).has_value();
}

void ObjectStore::put_commit(const Commit& commit) {
  put(path(commits, commit.library, commit.id), write_commit(commit));
}

Bytes ObjectStore::stored_object(const LibraryId& library, const ObjectId& id) const {
  return must(read_whole_file(path(objects, library, id), max_object), "object", id);
}

Bytes ObjectStore::object(const LibraryId& library, const ObjectId& id) const {
  auto json = inflate(stored_object(library, id));
  if (sha1(json) != id) {
    throw Error(Errc::corrupt, "object " + id.hex() + ": its bytes do not match its id");
  }
  return json;
}

bool ObjectStore::has_object(const LibraryId& library, const ObjectId& id) const {
  return size_of_file(path(objects, library, id)).has_value();
}

void ObjectStore::put_object(const LibraryId& library, const ObjectId& id, ByteView json) {
  const auto at = path(objects, library, id);
  check_writable();
  if (!size_of_file(at)) put(at, deflate(json));
}

Bytes ObjectStore::block(const LibraryId& library, const ObjectId& id) const {
  auto stored = must(read_whole_file(block_path(library, id), max_block), "block", id);
  if (sha1(stored) != id) {
    throw Error(Errc::corrupt, "block " + id.hex() + ": its bytes do not match its id");
  }
  return stored;
}

std::uint64_t ObjectStore::block_size(const LibraryId& library, const ObjectId& id) const {
  const auto size = size_of_file(block_path(library, id));
  if (!size) throw Error(Errc::not_found, "block " + id.hex() + ": is not there");
  return *size;
}

bool ObjectStore::has_block(const LibraryId& library, const ObjectId& id) const {
  return size_of_file(block_path(library, id)).has_value();
}

void ObjectStore::put_block(const LibraryId& library, const ObjectId& id, ByteView stored) {
  put(block_path(library, id), stored);
}

filesystem::path ObjectStore::block_path(const LibraryId& library, const ObjectId& id) const {
  return path(blocks, library, id);
}

}  // namespace nacre
