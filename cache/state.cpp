// SPDX-License-Identifier: Apache-2.0
#include "cache/state.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/log.hpp"
#include "cache/db.hpp"
#include "cache/state_files.hpp"

namespace nacre {
namespace {

namespace files = std::filesystem;

constexpr std::size_t map_size = std::size_t{256} << 30U;  // only addresses, until it is used
constexpr std::string_view version_key = "version", version = "2";

// Of the disk: left alone by whoever adds (check_room()), so that who removes and who sends
// finds room; and by all, for LMDB's own pages.
constexpr std::uint64_t spare = std::uint64_t{16} << 20U, last_spare = std::uint64_t{2} << 20U;

// On a disk with much room it is not asked each time: not for so long, and so many bytes.
constexpr std::uint64_t plenty = std::uint64_t{1} << 30U;
constexpr std::chrono::seconds believed{1};

// What was committed is synced after so long, or so much: it bounds what a power cut takes, and
// how long freed pages wait to be used again.
constexpr std::chrono::seconds sync_after{5};
constexpr std::uint64_t sync_bytes = std::uint64_t{256} << 20U;

// One process at a time; released by the kernel however the process ends.
class Lock {
 public:
  explicit Lock(const files::path& dir) {
    files::create_directories(dir);
    files::permissions(dir, files::perms::owner_all);
    fd_ = ::open((dir / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ < 0) throw Error(Errc::denied, dir.string() + ": cannot be written; whose is it?");
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      char pid[32] = {};
      const auto got = ::pread(fd_, pid, sizeof pid - 1, 0);
      ::close(fd_);
      throw Error(Errc::busy, dir.string() + ": in use by another nacre (process " +
                                  (got > 0 ? std::string(pid) : "unknown") +
                                  "); unmount that first");
    }
    const auto pid = std::to_string(::getpid());
    if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, pid.data(), pid.size(), 0) < 0)
      throw Error(Errc::full, dir.string() + ": cannot be written; is the disk full?");
  }
  ~Lock() { ::close(fd_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  int fd_ = -1;
};

bool starts_with(ByteView key, ByteView prefix) {
  return key.size() >= prefix.size() && std::ranges::equal(key.first(prefix.size()), prefix);
}

}  // namespace

struct State::Store {
  Store(const files::path& its_dir, SealKey its_key)
      : dir(its_dir), lock(dir), key(std::move(its_key)), db(open()), pages(dir) {
    values = db.table("values");
    about = db.table("about");
    auto txn = db.write();
    const auto found = txn.get(about, as_bytes(version_key));
    if (found && as_text(*found) != version)
      throw Error(Errc::unsupported,
                  dir.string() + ": written by another version of nacre (format " +
                      std::string(as_text(*found)) + "); unmount with that version first");
    txn.put(about, as_bytes(version_key), as_bytes(version));
    std::move(txn).commit();
    std::unique_lock held(mutex);
    sync_now(held);
    syncer = std::jthread([this](const std::stop_token& stop) { sync_in_time(stop); });
  }
  ~Store() {
    syncer.request_stop();
    syncer.join();
    try {
      std::unique_lock held(mutex);
      if (unsynced != 0) sync_now(held);
    } catch (const Error& error) {
      log::warning(std::string("state: ") + error.what());
    }
  }
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  struct Group {
    Ticket ticket;
    std::vector<Change> changes;
    std::size_t bytes;
  };
  struct Latest {
    Ticket ticket;
    Change* change;  // in a Group of `queue` or `sending`; there it has no key once overtaken
  };

  Db open() const {
    recover_after_power_cut(dir);
    compact_environment(dir, map_size);
    return Db(dir, map_size);
  }

  // What can still be written: of the disk, and of the file's own pages that hold nothing.
  std::uint64_t room() const {
    struct statvfs disk = {};
    if (::statvfs(dir.c_str(), &disk) != 0) return map_size;
    const auto held = db.bytes_of(values) + db.bytes_of(about), size = db.file_size();
    return std::uint64_t{disk.f_bavail} * disk.f_frsize + size - std::min(size, held);
  }

  void check_room(std::uint64_t bytes, std::uint64_t left) {
    using Clock = std::chrono::steady_clock;
    const auto now = Clock::now().time_since_epoch();
    if (now.count() < roomy_until && roomy_bytes.fetch_add(bytes) < plenty) return;
    const auto found = room();
    if (found < bytes + left)
      throw Error(Errc::full, dir.string() + ": the disk is full; make room, nothing is lost");
    roomy_until = found < 2 * plenty ? 0 : (now + believed).count();
    roomy_bytes = bytes;
  }

  void write(const std::deque<Group>& groups) {
    check_room(sending_bytes, last_spare);
    auto txn = db.write();
    std::uint64_t places = 0;
    for (const auto& group : groups) {
      places += group.changes.size();
      for (const auto& [name, value] : group.changes) {
        if (name.empty()) continue;
        if (value)
          key.seal(name, *value, txn.reserve(values, name, value->size() + SealKey::overhead));
        else
          txn.erase(values, name);
      }
    }
    failpoint("state.write");
    std::move(txn).commit();
    db.looked_at(places);
    failpoint("state.written");
  }

  static std::size_t bytes_of(const Change& change) {
    return change.key.size() + (change.value ? change.value->size() : 0);
  }

  // What is committed together need not be written twice.  Tickets in the queue have no gaps.
  void overtake(const Latest& older) {
    if (older.ticket < queue.front().ticket) return;  // is being written
    const auto bytes = bytes_of(*older.change);
    queue[older.ticket - queue.front().ticket].bytes -= bytes;
    staged -= bytes;
    *older.change = {};
  }

  // Commits what is queued, as the one leader; `held` is the mutex.
  void lead(std::unique_lock<std::mutex>& held) {
    leading = true;
    sending.swap(queue);
    sending_bytes = 0;
    for (const auto& group : sending) sending_bytes += group.bytes;
    const auto newest = sending.back().ticket;
    held.unlock();
    try {
      write(sending);
    } catch (...) {
      held.lock();
      // Back to the front: the next one to come tries them all again.
      std::ranges::move(queue, std::back_inserter(sending));
      queue = std::exchange(sending, {});
      leading = false;
      done.notify_all();
      throw;
    }
    held.lock();
    for (const auto& group : sending) {
      for (const auto& change : group.changes) {
        const auto found = latest.find(change.key);
        if (found != latest.end() && found->second.ticket == group.ticket) latest.erase(found);
      }
    }
    staged -= sending_bytes;
    unsynced += sending_bytes + 1;
    sending.clear();
    committed = newest;
    leading = false;
    done.notify_all();
    if (unsynced >= sync_bytes) due.notify_all();
  }

  void commit(std::unique_lock<std::mutex>& held, Ticket ticket) {
    while (committed < ticket) {
      if (leading)
        done.wait(held);
      else
        lead_or_make_room(held);
    }
  }

  // Pages that were freed since the last sync are used again only after the next.
  void lead_or_make_room(std::unique_lock<std::mutex>& held) {
    try {
      lead(held);
    } catch (const Error& error) {
      if (error.code() != Errc::full || unsynced == 0) throw;
      sync_now(held);
      if (!leading && !queue.empty()) lead(held);
    }
  }

  // Brings what is committed to the disk.  Nothing is committed while the first pages are read;
  // all that takes time comes after that.
  void sync_now(std::unique_lock<std::mutex>& held) {
    done.wait(held, [this] { return !syncing; });
    syncing = true;
    done.wait(held, [this] { return !leading; });
    const auto until = committed;
    const auto bytes = unsynced;
    try {
      auto pin = std::make_unique<const ReadTxn>(db.read());
      const auto heads = db.head_pages();
      held.unlock();
      db.sync_data();
      failpoint("state.sync");
      pages.write(heads);
      held.lock();
      pinned = std::move(pin);  // from here on the old one's pages may be used again
    } catch (...) {
      if (!held.owns_lock()) held.lock();
      syncing = false;
      done.notify_all();
      throw;
    }
    synced = until;
    unsynced -= bytes;
    syncing = false;
    done.notify_all();
  }

  // What nobody waits for, and what a full disk had no room for.
  void sync_in_time(const std::stop_token& stop) {
    std::unique_lock held(mutex);
    while (!stop.stop_requested()) {
      idle = true;
      due.wait(held, stop, [this] { return unsynced != 0 || !queue.empty(); });
      idle = false;
      due.wait_for(held, stop, sync_after, [this] { return unsynced >= sync_bytes; });
      if (stop.stop_requested()) return;
      try {
        if (!leading && !queue.empty()) lead_or_make_room(held);
        if (unsynced != 0) sync_now(held);
      } catch (const Error& error) {
        if (error.code() != Errc::full) log::warning(std::string("state: ") + error.what());
        due.wait_for(held, stop, sync_after, [] { return false; });
      }
    }
  }

  std::optional<Bytes> open_value(ByteView name, const std::optional<ByteView>& sealed) const {
    if (!sealed) return std::nullopt;
    auto value = key.open(name, *sealed);
    if (!value) refuse_damaged();
    return value;
  }

  [[noreturn]] void refuse_damaged() const {
    throw Error(Errc::corrupt,
                dir.string() + ": a record is damaged, or sealed under another device key");
  }

  const files::path dir;
  const Lock lock;
  const SealKey key;
  Db db;
  Table values{}, about{};
  SyncedPages pages;                                            // of the one who syncs
  std::unique_ptr<const ReadTxn> pinned;                        // the commit synced last
  std::atomic<std::chrono::steady_clock::rep> roomy_until = 0;  // as check_room() found it
  std::atomic<std::uint64_t> roomy_bytes = 0;                   // and let pass since

  std::mutex mutex;                  // guards all below, and `pinned`
  std::condition_variable_any done;  // for who waits for a commit or a sync
  std::condition_variable_any due;   // for the syncer, who is not to be woken by each
  std::deque<Group> queue;           // staged
  std::deque<Group> sending;         // being committed by the leader, who alone touches it
  std::map<Bytes, Latest> latest;
  std::uint64_t staged = 0;         // bytes in both
  std::uint64_t sending_bytes = 0;  // of `sending`
  Ticket last = 0, committed = 0, synced = 0;
  std::uint64_t unsynced = 0;  // bytes committed since, and one for each commit
  bool leading = false, syncing = false;
  bool idle = false;  // the syncer waits for something to do

  std::jthread syncer;  // last: ends first
};

struct State::Snapshot::View {
  const Store& store;
  ReadTxn txn;
};

State::State(const files::path& dir, SealKey key)
    : store_(std::make_unique<Store>(dir, std::move(key))) {}

State::~State() = default;

State::Ticket State::stage(std::vector<Change> changes) {
  auto& s = *store_;
  std::size_t bytes = 0;
  for (const auto& change : changes) bytes += Store::bytes_of(change);
  const std::lock_guard held(s.mutex);
  const auto ticket = ++s.last;
  s.queue.push_back({ticket, std::move(changes), bytes});
  s.staged += bytes;
  // The vector's storage stays where it is when a Group moves.
  for (auto& change : s.queue.back().changes) {
    const auto [found, is_new] = s.latest.try_emplace(change.key);
    auto& newest = found->second;
    if (!is_new) s.overtake(newest);
    newest = {ticket, &change};
  }
  if (s.idle) s.due.notify_all();  // it counts from here
  return ticket;
}

void State::commit(Ticket ticket) {
  std::unique_lock held(store_->mutex);
  store_->commit(held, ticket);
}

void State::commit_staged() {
  std::unique_lock held(store_->mutex);
  store_->commit(held, store_->last);
}

void State::sync() {
  auto& s = *store_;
  std::unique_lock held(s.mutex);
  const auto wanted = s.last;
  s.commit(held, wanted);
  s.done.wait(held, [&] { return s.synced >= wanted || !s.syncing; });
  if (s.synced < wanted) s.sync_now(held);
}

void State::check_room(std::uint64_t bytes) const { store_->check_room(bytes, spare); }

State::Snapshot State::snapshot() const {
  return Snapshot(
      std::make_shared<const Snapshot::View>(Snapshot::View{*store_, store_->db.read()}));
}

std::optional<Bytes> State::Snapshot::get(ByteView key) const {
  return view_->store.open_value(key, view_->txn.get(view_->store.values, key));
}

bool State::Snapshot::get(ByteView key, MutableByteView head, MutableByteView rest) const {
  const auto& s = view_->store;
  const auto sealed = view_->txn.get(s.values, key);
  if (!sealed || sealed->size() != head.size() + rest.size() + SealKey::overhead) return false;
  if (!s.key.open(key, *sealed, head, rest)) s.refuse_damaged();
  return true;
}

void State::Snapshot::scan_keys(ByteView prefix, const std::function<void(ByteView)>& visit) const {
  view_->txn.scan(view_->store.values, prefix, [&](ByteView key, ByteView) {
    if (!starts_with(key, prefix)) return false;
    visit(key);
    return true;
  });
}

std::uint64_t State::staged_bytes() const {
  const std::lock_guard lock(store_->mutex);
  return store_->staged;
}

std::optional<Bytes> State::get(ByteView key) {
  auto& s = *store_;
  {
    const std::lock_guard lock(s.mutex);
    const auto found = s.latest.find(Bytes(key.begin(), key.end()));
    if (found != s.latest.end()) return found->second.change->value;
  }
  const auto txn = s.db.read();
  return s.open_value(key, txn.get(s.values, key));
}

void State::scan(ByteView prefix, const std::function<void(ByteView, ByteView)>& visit) {
  const auto& s = *store_;
  s.db.read().scan(s.values, prefix, [&](ByteView key, ByteView sealed) {
    if (!starts_with(key, prefix)) return false;
    visit(key, *s.open_value(key, sealed));
    return true;
  });
}

void State::scan_keys(ByteView prefix, const std::function<void(ByteView)>& visit) {
  snapshot().scan_keys(prefix, visit);
}

std::array<std::uint8_t, 16> State::tag(ByteView name) const { return store_->key.tag(name); }

}  // namespace nacre
