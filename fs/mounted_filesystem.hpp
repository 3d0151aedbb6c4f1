// SPDX-License-Identifier: Apache-2.0
//
// The Filesystem over a Remote: the tree under its mutex, the operations, and
// the threads that follow the server.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/json.hpp"
#include "cache/block_cache.hpp"
#include "cache/object_cache.hpp"
#include "cache/state.hpp"
#include "fs/depot.hpp"
#include "fs/filesystem.hpp"
#include "fs/known_keys.hpp"
#include "fs/library_sync.hpp"
#include "fs/mount.hpp"
#include "fs/path_report.hpp"
#include "fs/pinner.hpp"
#include "fs/request_progress.hpp"
#include "fs/snapshots.hpp"
#include "fs/subtree.hpp"
#include "fs/tree.hpp"
#include "fs/watched_remote.hpp"

namespace nacre {

class MountedFilesystem final : public Filesystem, public SnapshotSource {
 public:
  MountedFilesystem(MountPlan plan, std::unique_ptr<Remote> remote);
  ~MountedFilesystem() override;

  void start(Kernel& kernel) override;
  void stop() override;

  Attr lookup(Ino parent, std::string_view name) override;
  void forget(Ino ino, std::uint64_t lookups) noexcept override;
  Attr getattr(Ino ino) override;
  Attr setattr(Ino ino, const SetAttr& change) override;
  OpenedDirectory open_directory(Ino directory, ListingFor purpose) override;
  void close_directory(Ino directory) noexcept override;
  std::shared_ptr<const Listing> list(Ino directory) override;
  bool shows(Ino directory, const ObjectId& published) override;

  Opened open(Ino ino, int flags) override;
  Opened create(Ino parent, std::string_view name, mode_t mode, int flags) override;
  std::size_t read(const Handle& file, std::uint64_t offset, MutableByteView out) override;
  void write(const Handle& file, std::uint64_t offset, ByteView bytes) override;
  void flush(const Handle& file) override;
  void fsync(const Handle& file) override;
  void release(const Handle& file) noexcept override;
  void fsync_directory(Ino directory) override;
  void fallocate(const Handle& file, int mode, std::uint64_t offset, std::uint64_t length) override;
  std::uint64_t seek(const Handle& file, std::uint64_t offset, int whence) override;
  std::size_t copy_range(const Handle& from, std::uint64_t from_offset, const Handle& to,
                         std::uint64_t to_offset, std::size_t length) override;

  Attr mkdir(Ino parent, std::string_view name, mode_t mode) override;
  void unlink(Ino parent, std::string_view name) override;
  void rmdir(Ino parent, std::string_view name) override;
  void rename(Ino parent, std::string_view name, Ino new_parent, std::string_view new_name,
              unsigned flags) override;

  struct statvfs statfs() override;
  void access(Ino ino, int mask) override;
  std::optional<std::string> get_xattr(Ino ino, std::string_view name) override;
  std::vector<std::string> list_xattr(Ino ino) override;

  ControlReply control(ControlRequest request) override;
  void on_unmount(std::function<void()> unmount) override;

  std::optional<SnapshotLibrary> library_at(Ino ino) override;
  ObjectId head_of(const LibraryId& library) override;
  ContentStore& contents() override { return store_; }
  Ahead& ahead() override { return ahead_; }
  void check_here(const LibraryId& library, const ObjectId& file) override;

 private:
  // Runs f(tree) under the mutex, fetching what it lacks without it.
  template <class F>
  auto with_tree(F f);
  // When a change is in state: as this returns, or once the file that it made is closed.
  enum class Safe { now, at_close };
  // The same for a change.
  template <class F>
  auto change_tree(F f, Safe when = Safe::now);
  // with_tree() for what a path names.
  template <class F>
  auto with_path(std::string_view path, F f);
  void fetch(const LibraryId& library, const ObjectId& directory);
  void write_content(OpenFile& file, const std::function<void(FileContent&)>& change);
  void save(OpenFile& file);
  void check_node_here(Ino ino);
  void truncate(OpenFile& file, std::uint64_t size);

  [[nodiscard]] std::chrono::milliseconds patience() const;
  std::vector<LibraryInfo> libraries_to_know();
  void remember(const std::vector<LibraryInfo>& infos);
  void commit_if_possible(State::Ticket ticket) noexcept;
  void check_names(const std::vector<LibraryInfo>& infos) const;
  std::set<LibraryId> libraries_with_changes();
  std::optional<Commit> known_base(const LibraryId& library);
  [[nodiscard]] bool wanted(const LibraryInfo& info) const;
  void add_library(const LibraryInfo& info, bool as_top);
  Tree::Recorded recorded(const LibraryId& library);
  Library& find_library(std::string_view name_or_id);
  Library& only_encrypted();
  std::vector<Library*> all_libraries();
  void make_ready(const LibraryId& library);
  ObjectId published_root(const LibraryId& library);
  LibrarySync& sync_of(const LibraryId& library);
  std::vector<LibrarySync*> all_syncs();
  // Whether a person accepts that the library has another password since it was opened here.
  enum class NewKey { refused, accepted };
  void unlock_library(Library& library, const Secret& password, NewKey changed = NewKey::refused);
  Encryption encryption_to_open(const Library& library, NewKey changed);
  void remember_key(const Library& library, const Encryption& how, const LibraryKey& key);
  void lock_library(Library& library);
  void server_changed();
  void follow(const std::stop_token& stop);
  void look_at_server();
  void look_at_libraries();

  void send_all(std::chrono::steady_clock::time_point deadline);
  Pending unsent();
  std::string unsent_text();  // empty: there is nothing
  ControlReply rescue(const std::string& folder, bool json);
  ControlReply umount(std::chrono::seconds timeout, const std::stop_token& gone);
  using Syncs = std::vector<LibrarySync*>;
  ControlReply sync(const Syncs& syncs, bool wait, std::chrono::seconds timeout);
  Syncs confirm_deletions(const std::string& path);
  void sleep();
  void wake();
  std::string attention();
  std::string status_json();
  std::string status_text();
  std::string metrics();

  std::optional<ControlReply> path_control(const ControlRequest& request);
  std::string unlock_command(const Library& library) const;
  PathFacts facts_of(const std::string& path);
  ControlReply privacy(const std::string& path, bool json);
  struct Look;
  void look_at_node(Tree& tree, const Node& node, PathFacts& facts, Look& look);
  void add_wait(const Library& library, const Look& look, PathFacts& facts);
  bool removed_here(const std::string& path, PathFacts& facts, Look& look);
  struct Held {
    bool known = false;  // which blocks it has
    std::size_t blocks = 0, here = 0;
    std::uint64_t bytes = 0;  // of those here, as stored
  };
  Held held_of(const PublishedEntry& file);
  void count_cached(const Subtree& below, PathFacts& facts);

  // What a path names, also where nothing of that name is there.
  struct LibraryPath {
    LibraryId library;
    std::string library_name, path;
  };
  LibraryPath library_path(const std::string& path);
  ControlReply pin(const std::string& path, const Told& told);
  ControlReply pinned(const std::string& path);
  ControlReply unpin(const std::string& path);
  ControlReply evict(const std::string& path, const Told& told);
  void tell_pins(JsonWriter& json);
  std::string pins_text(const LibraryId& library);

  ControlReply history(const std::string& path, bool json, std::size_t most,
                       const std::string& before, const Told& told);
  ControlReply restore(const std::string& path, const std::string& at, const std::string& to,
                       const Told& told);
  void check_still_there(const PublishedEntry& old, const Told& told);
  ControlReply du(const std::string& path, bool json, const Told& told);

  MountPlan plan_;
  std::unique_ptr<WatchedRemote> remote_;
  State state_;  // first of what it locks out others from
  KnownKeys known_keys_;
  ObjectCache objects_;
  BlockCache blocks_;
  Depot depot_;
  Pinner pinner_;
  Ahead ahead_;
  ContentStore store_;

  std::mutex mutex_;  // the tree's; held over no I/O
  Tree tree_;         // guarded by mutex_
  SyncContext context_;
  // Guarded by mutex_; never removed from, so what it points to stays.
  std::map<LibraryId, std::unique_ptr<LibrarySync>> syncs_;
  std::function<void()> unmount_;
  RequestProgress progress_;

  std::mutex quota_mutex_;
  std::optional<Quota> quota_;  // as last heard

  std::mutex follow_mutex_;
  std::condition_variable_any follow_changed_;
  std::string connection_error_;             // guarded by follow_mutex_; empty: the server answers
  std::thread::id follower_id_;              // guarded by follow_mutex_, as is the next
  bool look_now_ = false;                    // somebody saw the server go, or come back
  unsigned looks_until_account_ = 0;         // the follower's own
  std::atomic<bool> list_is_old_ = false;    // of libraries: the server could not be asked
  std::atomic<std::uint64_t> shielded_ = 0;  // reads for which nothing was fetched
  std::atomic<bool> flushed_ = false;        // by `nacre umount`
  std::jthread follower_;                    // last: ends first
};

}  // namespace nacre
