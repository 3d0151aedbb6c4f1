// SPDX-License-Identifier: Apache-2.0
#include "remote/directory_remote.hpp"

#include <pwd.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "crypto/hash.hpp"
#include "remote/object_store.hpp"
#include "remote/publish.hpp"

namespace nacre {

namespace {

std::string local_user() {
  passwd entry = {};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{}, host{};
  if (::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found) != 0) found = nullptr;
  const auto name = found != nullptr ? std::string(found->pw_name) : std::to_string(::getuid());
  if (::gethostname(host.data(), host.size() - 1) != 0) return name + "@localhost";
  return name + "@" + host.data();
}

void check_id(const ObjectId& id, ByteView bytes, const char* what) {
  if (sha1(bytes) != id) {
    throw Error(Errc::corrupt, std::string(what) + " " + id.hex() + ": does not match its id");
  }
}

class DirectoryRemote : public Remote {
 public:
  DirectoryRemote(const std::filesystem::path& storage, ObjectStore::Access access)
      : store_(storage, access), user_(local_user()) {}

  std::string user() override { return user_; }
  bool writable() const override { return store_.access() == ObjectStore::Access::read_write; }

  std::vector<LibraryInfo> libraries() override {
    std::vector<LibraryInfo> result;
    for (const auto& id : store_.libraries()) result.push_back(info(id));
    return result;
  }

  LibraryInfo create_library(const NewLibrary& library) override {
    if (const char* fault = name_fault(library.name)) {
      throw Error(Errc::invalid, std::string("library: its name ") + fault + "; choose another");
    }
    store_.create(library.id);
    Commit first;
    first.library = library.id;
    first.library_name = library.name;
    first.creator_name = user_;
    first.description = "Created library";
    first.ctime = static_cast<std::int64_t>(std::time(nullptr));
    first.encryption = library.encryption;
    first.id = commit_id(first);
    store_.put_commit(first);
    if (!store_.move_head(library.id, ObjectId{}, first.id)) {
      throw Error(Errc::exists, "library " + library.id.str() + ": exists");
    }
    return info(library.id);
  }

  void rename_library(const LibraryId& library, const std::string& name) override {
    if (const char* fault = name_fault(name))
      throw Error(Errc::invalid, std::string("library: its name ") + fault + "; choose another");
    check_upload(library, 0);
    for (;;) {
      const auto now = store_.commit(library, head(library));
      auto next = next_commit(now, now.root, user_, {}, "Renamed library\n", std::time(nullptr));
      next.library_name = name;
      store_.put_commit(next);
      if (store_.move_head(library, now.id, next.id)) return;
    }
  }

  void delete_library(const LibraryId& library) override {
    check_upload(library, 0);
    store_.remove(library);
  }

  ObjectId head(const LibraryId& library) override {
    try {
      return store_.head(library);
    } catch (const Error& e) {
      if (e.code() != Errc::not_found) throw;
      throw Error(Errc::gone, e.what());
    }
  }

  std::vector<LibraryHead> heads(std::span<const LibraryId> libraries) override {
    std::vector<LibraryHead> result;
    for (const auto& library : libraries) {
      try {
        result.push_back({library, store_.head(library)});
      } catch (const Error& e) {
        if (e.code() != Errc::not_found) throw;
      }
    }
    return result;
  }

  Commit commit(const LibraryId& library, const ObjectId& id) override {
    return store_.commit(library, id);
  }

  std::vector<FsObject> objects(const LibraryId& library, std::span<const ObjectId> ids) override {
    std::vector<FsObject> result;
    result.reserve(ids.size());
    for (const auto& id : ids) result.push_back({id, store_.object(library, id)});
    return result;
  }

  Bytes block(const LibraryId& library, const ObjectId& id) override {
    return store_.block(library, id);
  }

  std::vector<std::uint64_t> block_sizes(const LibraryId& library, const ObjectId& file) override {
    std::vector<std::uint64_t> sizes;
    if (file.is_empty()) return sizes;
    for (const auto& block : read_file(file, store_.object(library, file)).blocks) {
      sizes.push_back(store_.block_size(library, block));
    }
    return sizes;
  }

  std::vector<ObjectId> missing_objects(const LibraryId& library,
                                        std::span<const ObjectId> ids) override {
    std::vector<ObjectId> missing;
    for (const auto& id : ids) {
      if (!id.is_empty() && !store_.has_object(library, id)) missing.push_back(id);
    }
    return missing;
  }

  std::vector<ObjectId> missing_blocks(const LibraryId& library,
                                       std::span<const ObjectId> ids) override {
    std::vector<ObjectId> missing;
    for (const auto& id : ids) {
      if (!store_.has_block(library, id)) missing.push_back(id);
    }
    return missing;
  }

  void check_upload(const LibraryId& library, std::int64_t added_bytes) override {
    if (!writable()) {
      throw Error(Errc::read_only, store_.root().string() + ": is open for reading only");
    }
    head(library);  // is it still there?
    const auto disk = space();
    if (added_bytes > 0 && static_cast<std::uint64_t>(added_bytes) > *disk.total - disk.used) {
      throw Error(Errc::quota, store_.root().string() + ": that disk is full; make room there");
    }
  }

  void put_commit(const Commit& commit) override { store_.put_commit(commit); }

  void put_objects(const LibraryId& library, std::span<const FsObject> objects) override {
    for (const auto& object : objects) {
      check_id(object.id, object.json, "object");
      store_.put_object(library, object.id, object.json);
    }
  }

  void put_block(const LibraryId& library, const ObjectId& id, ByteView stored) override {
    check_id(id, stored, "block");
    store_.put_block(library, id, stored);
  }

  ObjectId publish(const LibraryId& library, const ObjectId& commit) override {
    return publish_commit(store_, library, commit, user_);
  }

  Quota quota() override { return space(); }

 private:
  // A library that cannot be read is listed nevertheless: what is missing would seem deleted.
  LibraryInfo info(const LibraryId& id) {
    LibraryInfo info;
    info.id = id;
    info.name = id.str();
    info.owner = user_;
    info.writable = writable();
    try {
      info.head = store_.head(id);
      const auto commit = store_.commit(id, *info.head);
      if (!commit.library_name.empty()) info.name = commit.library_name;
      info.encrypted = commit.encryption.encrypted();
      info.writable = writable() && commit.version == 1;
      info.mtime = commit.ctime;
    } catch (const Error& e) {
      log::warning("library " + id.str() + ": " + e.what());
      info.writable = false;
    }
    return info;
  }

  // What the disk has, for whoever writes here: without what is reserved for root.
  Quota space() const {
    struct statvfs disk = {};
    if (::statvfs(store_.root().c_str(), &disk) != 0) {
      throw Error(Errc::unreachable, store_.root().string() + ": the disk gives no answer");
    }
    Quota quota;
    quota.used = std::uint64_t{disk.f_blocks - disk.f_bfree} * disk.f_frsize;
    quota.total = quota.used + std::uint64_t{disk.f_bavail} * disk.f_frsize;
    return quota;
  }

  ObjectStore store_;
  std::string user_;
};

}  // namespace

std::unique_ptr<Remote> open_directory_remote(const std::filesystem::path& storage) {
  namespace filesystem = std::filesystem;
  using Access = ObjectStore::Access;
  std::error_code error;
  const auto status = filesystem::status(storage, error);
  if (filesystem::exists(status) && !filesystem::is_directory(status)) {
    throw Error(Errc::not_directory, storage.string() + ": is not a folder");
  }
  const bool ours = filesystem::is_directory(storage / "heads", error);
  const bool backup = !ours && filesystem::is_directory(storage / "commits", error);
  const bool fresh = !filesystem::exists(status) || filesystem::is_empty(storage, error);
  if (!ours && !backup && !fresh) {
    throw Error(Errc::invalid, storage.string() +
                                   ": is no storage folder: it has neither heads nor commits; "
                                   "name one, or an empty or new folder");
  }
  const bool read_only =
      backup || (ours && ::access((storage / "heads").c_str(), W_OK | X_OK) != 0);
  return std::make_unique<DirectoryRemote>(storage,
                                           read_only ? Access::read_only : Access::read_write);
}

}  // namespace nacre
