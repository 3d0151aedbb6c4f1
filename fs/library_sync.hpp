// SPDX-License-Identifier: Apache-2.0
//
// Keeps one mounted library and its server in step: follows the head, and sends
// unsent changes in batches once the library has been quiet for a moment.
// DESIGN's "life of a write" and "life of a remote change" are push() (in library_push.cpp)
// and pull().
//
// Any thread may call any member, without the tree's mutex.  The work is done
// by one thread, started when there is something to do for the first time.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "fs/batch.hpp"
#include "fs/intent.hpp"
#include "fs/known_keys.hpp"
#include "fs/rebase.hpp"
#include "fs/tree.hpp"

namespace nacre {

// What all libraries of a mount share.
struct SyncContext {
  Tree& tree;
  std::mutex& mutex;  // the tree's
  Depot& depot;
  State& state;
  const KnownKeys& known_keys;
  Kernel* kernel = nullptr;  // set by Filesystem::start()
  ObjectId client;           // creator of our commits
  std::chrono::milliseconds quiet;
  std::chrono::milliseconds open_limit;  // a file that is not closed is sent after so long
  std::size_t max_deletions;             // in a batch, without being asked; 0: any number
  std::filesystem::path mountpoint;
  std::function<void()> worked = [] {};  // called when a library may show another head
};

struct SyncStatus {
  Pending pending;
  bool sending = false;
  std::string error;           // empty: none
  Errc code = Errc::internal;  // of the error
  std::chrono::seconds retry_in{0};
  std::string confirm;           // the command that agrees to deletions; empty: none wait
  std::optional<ObjectId> head;  // that the mount shows
  std::size_t conflicts = 0;     // copies made since the mount began
};

class LibrarySync {
 public:
  LibrarySync(SyncContext& context, Library& library);
  ~LibrarySync();  // the thread ends; what is unsent stays in state

  // Something was changed here.  Cheap.
  void poke();
  // What kept its head from being taken over is gone.
  void look_again();
  // The server answers again, say: what waits for another try does not wait longer.
  void server_is_back();
  // The server has this head.
  void head_seen(const ObjectId& head);

  // Asks for the head and reads its commit, if that was never done.
  void make_ready();

  // Sends what there is now, also of files that are open.
  void send_now();
  // The person wants the server's older state after all: what it has lost goes here too.
  void accept_rollback();
  // The person agrees to the deletions that wait; false: none do.
  bool confirm_deletions();
  // Returns when the server has confirmed all that was changed before the call, and
  // the mount shows the head that was seen last; else throws Error: why not.  A request
  // that is given up (fs/patience.hpp) stops waiting.
  void wait_sent(std::chrono::steady_clock::time_point deadline);

  SyncStatus status();

 private:
  using Clock = std::chrono::steady_clock;

  void wake(bool work_now);
  void run(const std::stop_token& stop);
  Clock::time_point next_time();
  void work();
  void pull_newest();
  void pull(const ObjectId& head);
  void check_forward(const Commit& head);
  void push(bool all);
  void check_deletions(const Batch& batch);
  [[nodiscard]] std::string confirm_command() const;
  void fill_batch(Batch& batch, std::vector<FsObject>& objects);
  void publish(Batch batch, std::vector<FsObject> objects);
  void settle_intent();
  void finish_intent(const ObjectId& head);
  void learn_id(NodeNumber number, KnownIds& known);
  bool contains(const ObjectId& head, const ObjectId& commit);
  void check_same_library(const Commit& commit) const;
  void check_key(const Encryption& told) const;
  void note_failure(const Error& error);

  SyncContext& context_;
  Library& library_;

  std::mutex mutex_;  // guards all below; never held together with the tree's
  std::condition_variable_any changed_;
  bool woken_ = false;
  bool send_now_ = false;
  bool working_ = false;
  bool sending_ = false;
  std::uint64_t rounds_ = 0;  // of work() that ended
  bool head_moved_ = false;   // somebody saw another head than ours
  std::string error_;
  Errc code_ = Errc::internal;
  unsigned failures_ = 0;
  Clock::time_point retry_at_{};
  std::size_t conflicts_ = 0;
  bool rollback_accepted_ = false;
  std::optional<std::uint64_t> parked_;  // generation of a batch that waits to be confirmed
  std::uint64_t confirmed_ = 0;          // deletions up to this generation were agreed to

  std::optional<Intent> intent_;     // the thread's own, as is the next
  KnownIds parked_ids_;              // of contents in a batch that waits to be confirmed
  std::atomic<bool> armed_ = false;  // the thread knows that there are changes
  std::mutex thread_mutex_;
  std::jthread thread_;  // last: ends first
};

}  // namespace nacre
