// SPDX-License-Identifier: Apache-2.0
//
// A Remote that remembers whether its server answers.  While it is known to be
// away, threads that fail fast (base/waiting.hpp) are told so at once; the others try,
// and whichever gets an answer brings the server back for all.
//
// Any thread may call any member.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>

#include "remote/remote.hpp"

namespace nacre {

class WatchedRemote final : public Remote {
 public:
  explicit WatchedRemote(std::unique_ptr<Remote> remote) : remote_(std::move(remote)) {}

  [[nodiscard]] bool away() const noexcept { return away_; }

  // Of blocks, since the mount began.
  [[nodiscard]] std::uint64_t received_bytes() const noexcept { return received_; }
  [[nodiscard]] std::uint64_t sent_bytes() const noexcept { return sent_; }

  // Called, by the thread that finds out, when the server goes away or comes back.
  // To be set before any other thread uses this.
  void on_change(std::function<void()> changed) { changed_ = std::move(changed); }

  // Until resume(), as if the server were away: every call, also those under way, fails at once.
  void rest();
  void resume();

  // Ends every call, also those under way, with Error{interrupted}.
  void end() noexcept { end_.request_stop(); }

  std::string user() override { return remote_->user(); }
  bool writable() const override { return remote_->writable(); }

  std::vector<LibraryInfo> libraries() override;
  LibraryInfo create_library(const NewLibrary& library) override;
  void rename_library(const LibraryId& library, const std::string& name) override;
  void delete_library(const LibraryId& library) override;
  ObjectId head(const LibraryId& library) override;
  std::vector<LibraryHead> heads(std::span<const LibraryId> libraries) override;
  Commit commit(const LibraryId& library, const ObjectId& id) override;
  std::vector<FsObject> objects(const LibraryId& library, std::span<const ObjectId> ids) override;
  Bytes block(const LibraryId& library, const ObjectId& id) override {
    return arriving_block(library, id, {});
  }
  Bytes arriving_block(const LibraryId& library, const ObjectId& id,
                       const BlockArrives& arrives) override;
  std::vector<std::uint64_t> block_sizes(const LibraryId& library, const ObjectId& file) override;
  std::vector<ObjectId> missing_objects(const LibraryId& library,
                                        std::span<const ObjectId> ids) override;
  std::vector<ObjectId> missing_blocks(const LibraryId& library,
                                       std::span<const ObjectId> ids) override;
  void check_upload(const LibraryId& library, std::int64_t added_bytes) override;
  void put_commit(const Commit& commit) override;
  void put_objects(const LibraryId& library, std::span<const FsObject> objects) override;
  void put_block(const LibraryId& library, const ObjectId& id, ByteView stored) override;
  ObjectId publish(const LibraryId& library, const ObjectId& commit) override;
  Quota quota() override;

 private:
  template <class Ask>
  auto ask(Ask ask);
  void note(bool away, const std::string& why);

  const std::unique_ptr<Remote> remote_;
  std::stop_source end_;
  std::function<void()> changed_ = [] {};
  std::atomic<bool> away_ = false;
  std::atomic<std::uint64_t> received_ = 0, sent_ = 0;
  std::mutex mutex_;
  std::string why_;        // guarded by mutex_: the failure that showed it
  std::stop_source rest_;  // guarded by mutex_; requested: until resume()
};

}  // namespace nacre
