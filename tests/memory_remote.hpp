// SPDX-License-Identifier: Apache-2.0
//
// A Remote that lives in memory, keeps the promises of the real ones, counts
// what it is asked, and fails or lies on demand.  Many libraries, one user; publish() moves
// the head and never merges.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/guarded.hpp"
#include "crypto/hash.hpp"
#include "remote/remote.hpp"

namespace nacre::test {

class MemoryRemote : public Remote {
 public:
  // Called first in every member with its name, outside of all locks: throws what the test wants
  // thrown, or waits as long as the test wants it to.  Set it while nobody calls.
  std::function<void(const char* member)> before = [](const char*) {};
  // What block_sizes() says instead, to lie.
  std::function<void(std::vector<std::uint64_t>&)> lie_about_sizes = [](auto&) {};

  // How often each was called; `ids` and `stored`: of all calls together.
  struct Counters {
    std::atomic<int> objects = 0, object_ids = 0, block = 0, block_sizes = 0, missing_blocks = 0,
                     put_block = 0, put_objects = 0, publish = 0;
  };
  Counters count;

  // Direct access, without counters.
  ObjectId add_block(const LibraryId& library, Bytes stored) {
    const auto id = sha1(stored);
    state_.with([&](State& s) { s.libraries[library].blocks[id] = std::move(stored); });
    return id;
  }
  ObjectId add_object(const LibraryId& library, Bytes json) {
    const auto id = sha1(json);
    state_.with([&](State& s) { s.libraries[library].objects[id] = std::move(json); });
    return id;
  }
  std::optional<Bytes> stored_block(const LibraryId& library, const ObjectId& id) {
    return state_.with([&](State& s) { return find(s.libraries[library].blocks, id); });
  }

  std::string user() override { return "me@example.com"; }
  bool writable() const override { return true; }

  std::vector<LibraryInfo> libraries() override {
    before("libraries");
    return state_.with([](State& s) {
      std::vector<LibraryInfo> all;
      for (const auto& [id, library] : s.libraries) all.push_back(library.info);
      return all;
    });
  }
  LibraryInfo create_library(const NewLibrary& library) override {
    before("create_library");
    return state_.with([&](State& s) {
      auto& info = s.libraries[library.id].info;
      info.id = library.id;
      info.name = library.name;
      info.encrypted = library.encryption.encrypted();
      return info;
    });
  }
  void rename_library(const LibraryId& library, const std::string& name) override {
    before("rename_library");
    state_.with([&](State& s) { s.libraries[library].info.name = name; });
  }
  void delete_library(const LibraryId& library) override {
    before("delete_library");
    state_.with([&](State& s) { s.libraries.erase(library); });
  }

  ObjectId head(const LibraryId& library) override {
    before("head");
    return state_.with(
        [&](State& s) { return s.libraries[library].info.head.value_or(ObjectId{}); });
  }
  std::vector<LibraryHead> heads(std::span<const LibraryId> libraries) override {
    before("heads");
    std::vector<LibraryHead> all;
    state_.with([&](State& s) {
      for (const auto& id : libraries) {
        const auto found = s.libraries.find(id);
        if (found != s.libraries.end() && found->second.info.head) {
          all.push_back({id, *found->second.info.head});
        }
      }
    });
    return all;
  }
  Commit commit(const LibraryId& library, const ObjectId& id) override {
    before("commit");
    return must(state_.with([&](State& s) { return find(s.libraries[library].commits, id); }), id);
  }

  std::vector<FsObject> objects(const LibraryId& library, std::span<const ObjectId> ids) override {
    ++count.objects;
    count.object_ids += static_cast<int>(ids.size());
    before("objects");
    std::vector<FsObject> all;
    for (const auto& id : ids) {
      all.push_back(
          {id, must(state_.with([&](State& s) { return find(s.libraries[library].objects, id); }),
                    id)});
    }
    return all;
  }
  Bytes block(const LibraryId& library, const ObjectId& id) override {
    ++count.block;
    before("block");
    return must(stored_block(library, id), id);
  }
  std::vector<std::uint64_t> block_sizes(const LibraryId& library, const ObjectId& file) override {
    ++count.block_sizes;
    before("block_sizes");
    const auto json =
        must(state_.with([&](State& s) { return find(s.libraries[library].objects, file); }), file);
    std::vector<std::uint64_t> sizes;
    for (const auto& id : read_file(file, json).blocks) {
      sizes.push_back(must(stored_block(library, id), id).size());
    }
    lie_about_sizes(sizes);
    return sizes;
  }

  std::vector<ObjectId> missing_objects(const LibraryId& library,
                                        std::span<const ObjectId> ids) override {
    before("missing_objects");
    return state_.with([&](State& s) { return lacks(s.libraries[library].objects, ids); });
  }
  std::vector<ObjectId> missing_blocks(const LibraryId& library,
                                       std::span<const ObjectId> ids) override {
    ++count.missing_blocks;
    before("missing_blocks");
    return state_.with([&](State& s) { return lacks(s.libraries[library].blocks, ids); });
  }

  void check_upload(const LibraryId&, std::int64_t) override { before("check_upload"); }
  void put_commit(const Commit& commit) override {
    before("put_commit");
    state_.with([&](State& s) { s.libraries[commit.library].commits[commit.id] = commit; });
  }
  void put_objects(const LibraryId& library, std::span<const FsObject> objects) override {
    ++count.put_objects;
    before("put_objects");
    for (const auto& object : objects) {
      if (add_object(library, object.json) != object.id) throw Error(Errc::corrupt, "wrong id");
    }
  }
  void put_block(const LibraryId& library, const ObjectId& id, ByteView stored) override {
    ++count.put_block;
    before("put_block");
    if (add_block(library, Bytes(stored.begin(), stored.end())) != id) {
      throw Error(Errc::corrupt, "wrong id");
    }
  }
  ObjectId publish(const LibraryId& library, const ObjectId& commit) override {
    ++count.publish;
    before("publish");
    state_.with([&](State& s) { s.libraries[library].info.head = commit; });
    return commit;
  }
  Quota quota() override { return {}; }

 private:
  struct Library {
    LibraryInfo info;
    std::map<ObjectId, Bytes> objects, blocks;
    std::map<ObjectId, Commit> commits;
  };
  struct State {
    std::map<LibraryId, Library> libraries;
  };

  template <class T>
  static std::optional<T> find(const std::map<ObjectId, T>& all, const ObjectId& id) {
    const auto found = all.find(id);
    return found == all.end() ? std::nullopt : std::optional<T>(found->second);
  }
  template <class T>
  static T must(std::optional<T> found, const ObjectId& id) {
    if (!found) throw Error(Errc::not_found, id.hex() + ": not here");
    return *std::move(found);
  }
  static std::vector<ObjectId> lacks(const std::map<ObjectId, Bytes>& all,
                                     std::span<const ObjectId> ids) {
    std::vector<ObjectId> missing;
    for (const auto& id : ids) {
      if (!all.contains(id)) missing.push_back(id);
    }
    return missing;
  }

  Guarded<State> state_;
};

}  // namespace nacre::test
