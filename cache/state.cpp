// SPDX-License-Identifier: Apache-2.0
#include "cache/state.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "cache/db.hpp"

namespace nacre {
namespace {

namespace files = std::filesystem;

constexpr std::size_t map_size = std::size_t{256} << 30U;  // only addresses, until it is used
constexpr std::uint64_t spare = std::uint64_t{16} << 20U;  // of the disk, left for LMDB's own pages
constexpr std::string_view version_key = "version", version = "1";

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
      : dir(its_dir), lock(dir), key(std::move(its_key)), db(dir, map_size) {
    values = db.table("values");
    const auto about = db.table("about");
    auto txn = db.write();
    const auto found = txn.get(about, as_bytes(version_key));
    if (found && as_text(*found) != version)
      throw Error(Errc::unsupported,
                  dir.string() + ": written by another version of nacre (format " +
                      std::string(as_text(*found)) + "); unmount with that version first");
    txn.put(about, as_bytes(version_key), as_bytes(version));
    std::move(txn).commit();
  }

  struct Group {
    Ticket ticket;
    std::vector<Change> changes;
    std::size_t bytes;
  };
  struct Latest {
    Ticket ticket;
    const std::optional<Bytes>* value;  // in a Group of `queue` or `sending`
  };

  void write(const std::deque<Group>& groups) {
    struct statvfs disk = {};
    if (::statvfs(dir.c_str(), &disk) == 0 &&
        std::uint64_t{disk.f_bavail} * disk.f_frsize < spare + sending_bytes)
      throw Error(Errc::full, dir.string() + ": the disk is full; make room, nothing is lost");
    auto txn = db.write();
    for (const auto& group : groups) {
      for (const auto& [name, value] : group.changes) {
        if (value)
          key.seal(name, *value, txn.reserve(values, name, value->size() + SealKey::overhead));
        else
          txn.erase(values, name);
      }
    }
    failpoint("state.write");
    std::move(txn).commit();
    failpoint("state.written");
  }

  const files::path dir;
  const Lock lock;
  const SealKey key;
  Db db;
  Table values{};

  std::mutex mutex;  // guards all below
  std::condition_variable done;
  std::deque<Group> queue;    // staged
  std::deque<Group> sending;  // being committed by the leader, who alone touches it
  std::map<Bytes, Latest> latest;
  std::uint64_t staged = 0;         // bytes in both
  std::uint64_t sending_bytes = 0;  // of `sending`
  Ticket last = 0, committed = 0;
  bool leading = false;
};

State::State(const files::path& dir, SealKey key)
    : store_(std::make_unique<Store>(dir, std::move(key))) {}

State::~State() = default;

State::Ticket State::stage(std::vector<Change> changes) {
  auto& s = *store_;
  std::size_t bytes = 0;
  for (const auto& change : changes)
    bytes += change.key.size() + (change.value ? change.value->size() : 0);
  const std::lock_guard lock(s.mutex);
  const auto ticket = ++s.last;
  s.queue.push_back({ticket, std::move(changes), bytes});
  s.staged += bytes;
  // The vector's storage stays where it is when a Group moves.
  for (const auto& change : s.queue.back().changes) s.latest[change.key] = {ticket, &change.value};
  return ticket;
}

void State::commit(Ticket ticket) {
  auto& s = *store_;
  std::unique_lock lock(s.mutex);
  while (s.committed < ticket) {
    if (s.leading) {
      s.done.wait(lock);
      continue;
    }
    s.leading = true;
    s.sending.swap(s.queue);
    s.sending_bytes = 0;
    for (const auto& group : s.sending) s.sending_bytes += group.bytes;
    const auto last = s.sending.back().ticket;
    lock.unlock();
    try {
      s.write(s.sending);
    } catch (...) {
      lock.lock();
      // Back to the front: the next one to come tries them all again.
      std::ranges::move(s.queue, std::back_inserter(s.sending));
      s.queue = std::exchange(s.sending, {});
      s.leading = false;
      s.done.notify_all();
      throw;
    }
    lock.lock();
    for (const auto& group : s.sending) {
      for (const auto& change : group.changes) {
        const auto found = s.latest.find(change.key);
        if (found != s.latest.end() && found->second.ticket == group.ticket) s.latest.erase(found);
      }
    }
    s.staged -= s.sending_bytes;
    s.sending.clear();
    s.committed = last;
    s.leading = false;
    s.done.notify_all();
  }
}

void State::sync() {
  Ticket last = 0;
  {
    const std::lock_guard lock(store_->mutex);
    last = store_->last;
  }
  commit(last);
  store_->db.sync();
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
    if (found != s.latest.end()) return *found->second.value;
  }
  const auto txn = s.db.read();
  const auto sealed = txn.get(s.values, key);
  if (!sealed) return std::nullopt;
  auto value = s.key.open(key, *sealed);
  if (!value)
    throw Error(Errc::corrupt, s.dir.string() +
                                   ": a record is damaged, or sealed under another "
                                   "device key");
  return value;
}

void State::scan(ByteView prefix, const std::function<void(ByteView, ByteView)>& visit) {
  const auto& s = *store_;
  s.db.read().scan(s.values, prefix, [&](ByteView key, ByteView sealed) {
    if (!starts_with(key, prefix)) return false;
    const auto value = s.key.open(key, sealed);
    if (!value)
      throw Error(Errc::corrupt, s.dir.string() +
                                     ": a record is damaged, or sealed under another "
                                     "device key");
    visit(key, *value);
    return true;
  });
}

void State::scan_keys(ByteView prefix, const std::function<void(ByteView)>& visit) {
  const auto& s = *store_;
  s.db.read().scan(s.values, prefix, [&](ByteView key, ByteView) {
    if (!starts_with(key, prefix)) return false;
    visit(key);
    return true;
  });
}

std::array<std::uint8_t, 16> State::tag(ByteView name) const { return store_->key.tag(name); }

}  // namespace nacre
