// SPDX-License-Identifier: Apache-2.0
#include "fs/library_sync.hpp"

#include <algorithm>
#include <deque>
#include <unordered_set>

#include "base/error.hpp"
#include "base/failpoint.hpp"
#include "base/log.hpp"
#include "fs/content_view.hpp"
#include "fs/patience.hpp"
#include "fs/uploader.hpp"

namespace nacre {
namespace {

using namespace std::chrono_literals;

constexpr auto longest_quiet_factor = 15;  // a library that is never quiet is sent after so many
constexpr auto shortest_retry = 1s, longest_retry = 60s;
constexpr auto look_up = 200ms;  // how often who waits looks whether its caller still does

// What will not get better by itself soon.
bool is_parked(Errc code) {
  return code == Errc::read_only || code == Errc::quota || code == Errc::denied ||
         code == Errc::locked || code == Errc::gone || code == Errc::corrupt ||
         code == Errc::rolled_back || code == Errc::unconfirmed;
}

}  // namespace

LibrarySync::LibrarySync(SyncContext& context, Library& library)
    : context_(context), library_(library) {
  if (const auto bytes = context_.state.get(record_key::intent(library_.id)))
    intent_ = decode_intent(library_.id, *bytes);
}

LibrarySync::~LibrarySync() {
  const std::lock_guard lock(thread_mutex_);
  thread_.request_stop();
}

void LibrarySync::wake(bool work_now) {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    if (work_now) {
      send_now_ = true;
      retry_at_ = {};
    }
  }
  changed_.notify_all();
  const std::lock_guard lock(thread_mutex_);
  if (!thread_.joinable())
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void LibrarySync::poke() {
  if (!armed_.exchange(true)) wake(false);
}

void LibrarySync::server_is_back() {
  {
    const std::lock_guard lock(mutex_);
    if (retry_at_ == Clock::time_point{}) return;
    retry_at_ = {};
    failures_ = 0;
    woken_ = true;
  }
  changed_.notify_all();
}

void LibrarySync::head_seen(const ObjectId& head) {
  {
    const std::lock_guard lock(context_.mutex);
    library_.listed_head = head;
    if (!library_.ready || library_.base.id == head) return;
  }
  {
    const std::lock_guard lock(mutex_);
    head_moved_ = true;
  }
  wake(false);
}

void LibrarySync::look_again() {
  {
    const std::lock_guard lock(mutex_);
    head_moved_ = true;
  }
  wake(true);
}

void LibrarySync::send_now() { wake(true); }

void LibrarySync::accept_rollback() {
  {
    const std::lock_guard lock(mutex_);
    rollback_accepted_ = true;
  }
  look_again();
}

bool LibrarySync::confirm_deletions() {
  {
    const std::lock_guard lock(mutex_);
    if (!parked_) return false;
    confirmed_ = *parked_;
  }
  wake(true);
  return true;
}

std::string LibrarySync::confirm_command() const {
  const auto path = context_.mountpoint / library_.shown_name;
  return "nacre sync '" + (library_.shown_name.empty() ? context_.mountpoint : path).string() +
         "' --confirm-deletes";
}

void LibrarySync::wait_sent(Clock::time_point deadline) {
  std::uint64_t target = 0;
  {
    const std::lock_guard lock(context_.mutex);
    target = library_.generation;
  }
  for (;;) {
    bool sent = false;
    {
      const std::lock_guard lock(context_.mutex);
      sent = pending(library_, target).names == 0;
    }
    std::uint64_t before = 0;
    {
      const std::lock_guard lock(mutex_);
      if (sent && !send_now_ && !head_moved_ && !working_) return;
      before = rounds_;
    }
    if (!sent && library_.keys->locked())
      throw Error(Errc::locked, library_.name + ": locked; its changes wait until it is unlocked");
    if (!sent) send_now();
    std::unique_lock lock(mutex_);
    bool ended = false;
    while (!ended && Clock::now() < deadline) {
      patience::about_to_wait();
      ended = changed_.wait_until(lock, std::min(deadline, Clock::now() + look_up),
                                  [&] { return rounds_ > before; });
    }
    if (!error_.empty() && (!ended || is_parked(code_))) throw Error(code_, error_);
    if (!ended) throw Error(Errc::interrupted, library_.name + ": not sent in time; it goes on");
    if (error_.empty()) continue;
    // The server is away: another try soon, whatever the thread's own pace.
    const auto next_try = std::min(deadline, Clock::now() + shortest_retry);
    changed_.wait_until(lock, next_try, [&] { return error_.empty(); });
  }
}

SyncStatus LibrarySync::status() {
  SyncStatus status;
  {
    const std::lock_guard lock(context_.mutex);
    status.pending = pending(library_, library_.generation);
    if (library_.ready) status.head = library_.base.id;
  }
  const std::lock_guard lock(mutex_);
  status.sending = sending_;
  status.error = error_;
  status.code = code_;
  status.conflicts = conflicts_;
  if (parked_) status.confirm = confirm_command();
  if (retry_at_ > Clock::now() && code_ != Errc::unconfirmed)
    status.retry_in = std::chrono::ceil<std::chrono::seconds>(retry_at_ - Clock::now());
  return status;
}

// When there will be something to do, unless somebody wakes us.
LibrarySync::Clock::time_point LibrarySync::next_time() {
  auto due = Clock::time_point::max();
  std::optional<std::uint64_t> parked;
  {
    const std::lock_guard lock(mutex_);
    if (!error_.empty() && code_ == Errc::unconfirmed) parked = parked_;
  }
  {
    const std::lock_guard lock(context_.mutex);
    if (library_.ready && library_.changed() && !library_.keys->locked() &&
        parked != library_.generation) {
      due = std::min(library_.last_change + context_.quiet,
                     library_.first_change + longest_quiet_factor * context_.quiet);
    } else {
      armed_ = false;  // whoever makes the next change wakes us
    }
  }
  const std::lock_guard lock(mutex_);
  if (head_moved_ || send_now_) due = Clock::time_point::min();
  return std::max(due, retry_at_);
}

void LibrarySync::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const auto due = next_time();
    if (due > Clock::now()) {
      std::unique_lock lock(mutex_);
      const auto woken = [this] { return woken_; };
      if (due == Clock::time_point::max())
        changed_.wait(lock, stop, woken);
      else
        changed_.wait_until(lock, stop, due, woken);
      woken_ = false;
      continue;
    }
    {
      const std::lock_guard lock(mutex_);
      working_ = true;
    }
    try {
      work();
      const std::lock_guard lock(mutex_);
      error_.clear();
      rollback_accepted_ = false;
      parked_.reset();
      failures_ = 0;
      retry_at_ = {};
    } catch (const Error& error) {
      note_failure(error);
    } catch (const std::exception& error) {
      note_failure(Error(Errc::internal, error.what()));
    }
    {
      const std::lock_guard lock(mutex_);
      ++rounds_;
      working_ = sending_ = false;
    }
    changed_.notify_all();
    context_.worked();
  }
}

void LibrarySync::note_failure(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (error_ != error.what()) log::warning(library_.id.str() + ": " + error.what());
  error_ = error.what();
  code_ = error.code();
  const auto wait = std::min<std::chrono::seconds>(
      longest_retry, shortest_retry * (1U << std::min(failures_, 6U)));
  ++failures_;
  retry_at_ = Clock::now() + (is_parked(code_) ? longest_retry : wait);
  // What is changed next may be the end of it.
  if (code_ == Errc::unconfirmed) retry_at_ = Clock::now() + context_.quiet;
}

void LibrarySync::work() {
  bool moved = false, all = false;
  {
    const std::lock_guard lock(mutex_);
    moved = std::exchange(head_moved_, false);
    all = std::exchange(send_now_, false);
  }
  bool due = all;
  {
    const std::lock_guard lock(context_.mutex);
    if (!library_.ready) return;
    const auto now = Clock::now();
    due = library_.changed() && !library_.keys->locked() &&
          (due || now >= library_.last_change + context_.quiet ||
           now >= library_.first_change + longest_quiet_factor * context_.quiet);
  }
  if (due) {
    {
      const std::lock_guard lock(mutex_);
      sending_ = true;
    }
    push(all);
  } else if (moved) {
    settle_intent();
    pull_newest();
  }
}

// Asks again, as the head that somebody saw may be older than what we have sent since.
void LibrarySync::pull_newest() {
  if (const auto head = context_.depot.remote().head(library_.id); head != library_.base.id)
    pull(head);
}

void LibrarySync::check_same_library(const Commit& commit) const {
  if (commit.library != library_.id)
    throw Error(Errc::corrupt, library_.name + ": the server's head belongs to another library");
  if (commit.version < 1)
    throw Error(Errc::unsupported, library_.name + ": a library of version 0, from before 2013");
  const auto& known = library_.base.encryption;
  const bool switched = library_.ready && (commit.encryption.version != known.version ||
                                           commit.encryption.salt != known.salt);
  if (switched || commit.encryption.encrypted() != library_.keys->encrypted())
    throw Error(Errc::corrupt, library_.name +
                                   ": the server says that its encryption was switched; "
                                   "nothing is sent; ask who runs the server");
  check_key(commit.encryption);
}

// What is written goes under the key that was opened here, whatever the server says of it since.
void LibrarySync::check_key(const Encryption& told) const {
  if (library_.keys->encrypted() && !library_.keys->locked())
    context_.known_keys.check(library_.id, library_.name, told);
}

void LibrarySync::make_ready() {
  std::optional<ObjectId> head;
  {
    const std::lock_guard lock(context_.mutex);
    if (library_.ready) return;
    head = library_.listed_head;
  }
  auto& remote = context_.depot.remote();
  const auto commit = remote.commit(library_.id, head ? *head : remote.head(library_.id));
  check_same_library(commit);
  {
    const std::lock_guard lock(context_.mutex);
    if (library_.ready) return;
    context_.tree.set_base(library_, commit);
    context_.tree.stage();
  }
}

// The id that an unsent file's content has, unless it is known of this version of it.
void LibrarySync::learn_id(NodeNumber number, KnownIds& known) {
  auto& [version, id] = known[number];
  State::Ticket ticket = 0;
  {
    const std::lock_guard lock(context_.mutex);
    const auto* node = context_.tree.find_number(library_, number);
    if (!node || !node->content) return;
    ticket = node->content->save();
  }
  context_.state.commit(ticket);
  auto view = ContentView::open(context_.depot, context_.state.snapshot(), library_.id,
                                library_.keys, number);
  if (!view || view->version() == version) return;  // none: written just now, asked for again
  Uploader uploader(context_.depot, library_.id, library_.keys->get());
  const auto object = uploader.add(*view);
  uploader.finish();
  version = view->version();
  id = object.id;
}

// Whether `head` builds on what we have seen: a server that was put back to an older state must
// not take with it what came after, before somebody has looked.
void LibrarySync::check_forward(const Commit& head) {
  constexpr std::size_t farthest = 200;
  const auto& base = library_.base;
  {
    const std::lock_guard lock(mutex_);
    if (rollback_accepted_) return;
  }
  auto& remote = context_.depot.remote();
  std::deque<Commit> next = {head};
  std::unordered_set<ObjectId> seen;
  bool whole = true;  // all of its history was looked at
  while (!next.empty() && whole) {
    const auto commit = std::move(next.front());
    next.pop_front();
    for (const auto& parent : {commit.parent, commit.second_parent}) {
      if (!parent || !seen.insert(*parent).second) continue;
      if (*parent == base.id) return;
      try {
        if (seen.size() > farthest)
          whole = false;
        else
          next.push_back(remote.commit(library_.id, *parent));
      } catch (const Error& error) {
        if (error.code() != Errc::not_found) throw;
        whole = false;  // servers forget old commits
      }
    }
  }
  if (!whole) {
    if (head.ctime >= base.ctime) return;
    try {
      remote.commit(library_.id, base.id);
      return;
    } catch (const Error& error) {
      if (error.code() != Errc::not_found) throw;
    }
  }
  throw Error(Errc::rolled_back,
              library_.name +
                  ": the server has gone back to an older state of this library (was it restored "
                  "from a backup?); nothing is sent or taken over, what is here can still be read; "
                  "copy what you miss, then `nacre sync --accept-rollback`");
}

void LibrarySync::pull(const ObjectId& head) {
  const auto commit = context_.depot.remote().commit(library_.id, head);
  check_same_library(commit);
  check_forward(commit);
  KnownIds known;
  for (int round = 0;; ++round) {
    RebaseNeeds needs;
    Notices notices;
    State::Ticket ticket = 0;
    std::size_t conflicts = 0;
    bool done = false;
    {
      const std::lock_guard lock(context_.mutex);
      if (library_.base.id == head) return;
      needs = rebase_needs(context_.tree, library_, commit.root, known);
      // A file that is written all the time is never known: it is a conflict then.
      done = needs.directories.empty() && (needs.ids.empty() || round > 3);
      if (done) {
        conflicts = rebase(context_.tree, library_, commit, known, notices).size();
        ticket = context_.tree.stage();
      }
    }
    if (done) {
      failpoint("pull.rebased");
      context_.state.commit(ticket);
      if (context_.kernel) notices.tell(*context_.kernel);
      const std::lock_guard lock(mutex_);
      conflicts_ += conflicts;
      return;
    }
    if (round > 50) throw Error(Errc::busy, library_.name + ": changes faster than it can be read");
    if (!needs.directories.empty()) context_.depot.fetch_objects(library_.id, needs.directories);
    for (const auto number : needs.ids) learn_id(number, known);
  }
}

}  // namespace nacre
