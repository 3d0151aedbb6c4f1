// SPDX-License-Identifier: Apache-2.0
//
// A request of the kernel, from the thread that reads it to its one answer.
//
// An operation is `work`, which may throw; `reply`, which may not, and says what
// fuse_reply_* said; and `undo` for a result that did not reach the kernel.  Work
// is first tried in a Hurry on the thread that read the request; when it would
// block, a worker takes it up again from its beginning.  A parked request that is
// interrupted is answered EINTR at once.  No lock is held while we reply.
// Private to fs/fuse_*.cpp.
#pragma once

#include <fuse_lowlevel.h>
#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/log.hpp"
#include "fs/errno.hpp"
#include "fs/filesystem.hpp"
#include "fs/fuse_pool.hpp"
#include "fs/patience.hpp"
#include "fs/shield.hpp"

namespace nacre {

// Programs that ask for files which they could have listed: their listings had better say
// all of the files.  Others, which only want names, need no nodes.  Threads, by their number;
// where two share a place the later one has it.
class Askers {
 public:
  void asked(pid_t who) noexcept { place(who).store(who, std::memory_order_relaxed); }
  [[nodiscard]] bool asks(pid_t who) noexcept {
    return place(who).load(std::memory_order_relaxed) == who;
  }

 private:
  std::atomic<pid_t>& place(pid_t who) noexcept {
    return places_[static_cast<std::size_t>(who) % places_.size()];
  }
  std::array<std::atomic<pid_t>, 256> places_ = {};
};

// What a session knows of us: its userdata.
struct FuseSide {
  Filesystem& fs;
  Pool& pool;
  const Shield& shield;
  std::function<void()> ready;         // once, when the kernel and we have agreed
  std::chrono::milliseconds patience;  // for how long a request may hear nothing of the server
  Askers askers = {};
};

inline FuseSide& side_of(fuse_req_t req) noexcept {
  return *static_cast<FuseSide*>(fuse_req_userdata(req));
}

template <class Result>
struct Outcome {
  std::optional<Result> result;
  int error = 0;
};

// The result of work, or the errno of its failure.  Lets WouldBlock through.
template <class Work>
auto attempt(Work& work, Filesystem& fs) -> Outcome<std::invoke_result_t<Work&, Filesystem&>> {
  try {
    return {work(fs), 0};
  } catch (const WouldBlock&) {
    throw;
  } catch (const Error& e) {
    log::debug(e.what());
    return {std::nullopt, to_errno(e.code())};
  } catch (const std::bad_alloc&) {
    return {std::nullopt, ENOMEM};
  } catch (...) {
    log::error("a request failed in a way that nobody thought of");
    return {std::nullopt, EIO};
  }
}

template <class Result, class Reply, class Undo>
void send(fuse_req_t req, Filesystem& fs, Outcome<Result>& outcome, Reply& reply,
          Undo& undo) noexcept {
  static_assert(std::is_nothrow_invocable_r_v<int, Reply&, fuse_req_t, Result&>);
  static_assert(std::is_nothrow_invocable_v<Undo&, Filesystem&, Result&>);
  if (!outcome.result)
    fuse_reply_err(req, outcome.error);
  else if (reply(req, *outcome.result) != 0)
    undo(fs, *outcome.result);
}

template <class Work, class Reply, class Undo>
class Parked final : public Pool::Job {
 public:
  Parked(fuse_req_t req, Work work, Reply reply, Undo undo)
      : req_(req),
        fs_(side_of(req).fs),
        work_(std::move(work)),
        reply_(std::move(reply)),
        undo_(std::move(undo)),
        waits_(Waiting::at_most(side_of(req).patience, true)) {
    waits_.urgent = true;
    waits_.stop = given_up_.get_token();
  }

  // To be called once, before the job is given away.  False: the request was
  // interrupted and has its answer.
  bool listen() noexcept {
    registering() = true;
    fuse_req_interrupt_func(req_, &Parked::interrupted, this);
    registering() = false;
    if (!given_up_.stop_requested()) return true;
    if (claim()) fuse_reply_err(req_, EINTR);
    return false;
  }

  void run() noexcept override {
    auto outcome = [this] {
      const WaitAs program(waits_);
      return attempt_at_last();
    }();
    if (claim())
      send(req_, fs_, outcome, reply_, undo_);
    else if (outcome.result)
      undo_(fs_, *outcome.result);
  }

  void drop() noexcept override {
    if (claim()) fuse_reply_err(req_, EIO);
  }

  void give_up() noexcept override { given_up_.request_stop(); }

 private:
  auto attempt_at_last() noexcept -> Outcome<std::invoke_result_t<Work&, Filesystem&>> {
    try {
      return attempt(work_, fs_);
    } catch (const WouldBlock&) {  // out of place: nobody here is in a hurry
      return {std::nullopt, EIO};
    }
  }

  // Who gets true answers.  Afterwards no interrupted() runs or will; who gets
  // false must not touch req_, which may be gone.
  bool claim() noexcept {
    if (answered_.exchange(true)) return false;
    fuse_req_interrupt_func(req_, nullptr, nullptr);  // waits for the one that may be running
    return true;
  }

  // Called with the request's own lock held, and perhaps from within listen();
  // there an answer would free the request under libfuse's feet.
  static void interrupted(fuse_req_t req, void* self) noexcept {
    auto& parked = *static_cast<Parked*>(self);
    parked.given_up_.request_stop();
    if (registering()) return;
    if (!parked.answered_.exchange(true)) fuse_reply_err(req, EINTR);  // `self` may be gone now
  }

  static bool& registering() noexcept {
    static thread_local bool here = false;
    return here;
  }

  fuse_req_t req_;
  Filesystem& fs_;
  Work work_;
  Reply reply_;
  Undo undo_;
  std::stop_source given_up_;
  Waiting waits_;
  std::atomic<bool> answered_ = false;
};

// Has a worker answer.
template <class Work, class Reply, class Undo>
void park(fuse_req_t req, Work work, Reply reply, Undo undo) noexcept {
  using Job = Parked<Work, Reply, Undo>;
  std::unique_ptr<Job> job;
  try {
    job = std::make_unique<Job>(req, std::move(work), std::move(reply), std::move(undo));
  } catch (const std::bad_alloc&) {
    fuse_reply_err(req, ENOMEM);
    return;
  }
  auto& pool = side_of(req).pool;
  if (job->listen()) pool.add(std::move(job));
}

// Answers here and now, unless that means waiting: then returns false.
template <class Work, class Reply, class Undo>
bool answer_now(fuse_req_t req, Work& work, Reply& reply, Undo& undo) noexcept {
  auto& fs = side_of(req).fs;
  using Result = std::invoke_result_t<Work&, Filesystem&>;
  Outcome<Result> outcome;
  try {
    const Hurry hurry;
    outcome = attempt(work, fs);
  } catch (const WouldBlock&) {
    return false;
  }
  send(req, fs, outcome, reply, undo);
  return true;
}

struct NothingToUndo {
  void operator()(Filesystem&, auto&) const noexcept {}
};

template <class Work, class Reply, class Undo = NothingToUndo>
void answer(fuse_req_t req, Work work, Reply reply, Undo undo = {}) noexcept {
  if (!answer_now(req, work, reply, undo))
    park(req, std::move(work), std::move(reply), std::move(undo));
}

// For operations whose whole result is that they succeeded.
struct Done {};
template <class Work>
auto and_done(Work work) {
  return [work = std::move(work)](Filesystem& fs) mutable {
    work(fs);
    return Done{};
  };
}
inline constexpr auto say_done = [](fuse_req_t req, Done&) noexcept {
  return fuse_reply_err(req, 0);
};

}  // namespace nacre
