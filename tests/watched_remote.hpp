// SPDX-License-Identifier: Apache-2.0
//
// A Remote around another one: counts what is asked, and lets a test act, or
// throw, before a call goes through.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "remote/remote.hpp"

namespace nacre::test {

struct Watch {
  // Called first in every member but user(), writable() and quota(), with the member's name.
  std::function<void(std::string_view member)> before;
  // Called when publish() has been carried out, before its answer is given.
  std::function<void()> published;
  std::atomic<std::size_t> put_blocks = 0, put_objects = 0, put_bytes = 0, got_objects = 0,
                           got_blocks = 0, commits = 0;

  void reset() { put_blocks = put_objects = put_bytes = got_objects = got_blocks = commits = 0; }
};

class WatchedRemote final : public Remote {
 public:
  WatchedRemote(std::unique_ptr<Remote> inner, Watch& watch)
      : inner_(std::move(inner)), watch_(watch) {}

  std::string user() override { return inner_->user(); }
  bool writable() const override { return inner_->writable(); }
  Quota quota() override { return inner_->quota(); }

  std::vector<LibraryInfo> libraries() override {
    before("libraries");
    return inner_->libraries();
  }
  LibraryInfo create_library(const NewLibrary& library) override {
    before("create_library");
    return inner_->create_library(library);
  }
  void rename_library(const LibraryId& library, const std::string& name) override {
    before("rename_library");
    inner_->rename_library(library, name);
  }
  void delete_library(const LibraryId& library) override {
    before("delete_library");
    inner_->delete_library(library);
  }
  ObjectId head(const LibraryId& library) override {
    before("head");
    return inner_->head(library);
  }
  std::vector<LibraryHead> heads(std::span<const LibraryId> libraries) override {
    before("heads");
    return inner_->heads(libraries);
  }
  Commit commit(const LibraryId& library, const ObjectId& id) override {
    before("commit");
    return inner_->commit(library, id);
  }
  std::vector<FsObject> objects(const LibraryId& library, std::span<const ObjectId> ids) override {
    before("objects");
    watch_.got_objects += ids.size();
    return inner_->objects(library, ids);
  }
  Bytes block(const LibraryId& library, const ObjectId& id) override {
    before("block");
    ++watch_.got_blocks;
    return inner_->block(library, id);
  }
  std::vector<std::uint64_t> block_sizes(const LibraryId& library, const ObjectId& file) override {
    before("block_sizes");
    return inner_->block_sizes(library, file);
  }
  std::vector<ObjectId> missing_objects(const LibraryId& library,
                                        std::span<const ObjectId> ids) override {
    before("missing_objects");
    return inner_->missing_objects(library, ids);
  }
  std::vector<ObjectId> missing_blocks(const LibraryId& library,
                                       std::span<const ObjectId> ids) override {
    before("missing_blocks");
    return inner_->missing_blocks(library, ids);
  }
  void check_upload(const LibraryId& library, std::int64_t added_bytes) override {
    before("check_upload");
    inner_->check_upload(library, added_bytes);
  }
  void put_commit(const Commit& commit) override {
    before("put_commit");
    ++watch_.commits;
    inner_->put_commit(commit);
  }
  void put_objects(const LibraryId& library, std::span<const FsObject> objects) override {
    before("put_objects");
    watch_.put_objects += objects.size();
    for (const auto& object : objects) watch_.put_bytes += object.json.size();
    inner_->put_objects(library, objects);
  }
  void put_block(const LibraryId& library, const ObjectId& id, ByteView stored) override {
    before("put_block");
    ++watch_.put_blocks;
    watch_.put_bytes += stored.size();
    inner_->put_block(library, id, stored);
  }
  ObjectId publish(const LibraryId& library, const ObjectId& commit) override {
    before("publish");
    const auto head = inner_->publish(library, commit);
    if (watch_.published) watch_.published();
    return head;
  }

 private:
  void before(std::string_view member) const {
    if (watch_.before) watch_.before(member);
  }

  const std::unique_ptr<Remote> inner_;
  Watch& watch_;
};

}  // namespace nacre::test
