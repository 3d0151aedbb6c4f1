// SPDX-License-Identifier: Apache-2.0
//
// The part of MountedFilesystem that starts, follows the server, and ends.
#include <algorithm>
#include <condition_variable>
#include <thread>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/waiting.hpp"
#include "fs/with_tree.hpp"

namespace nacre {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto last_flush = 30s;  // how long the end of a mount waits for the server
constexpr auto last_probe = 10s;  // and for its first word
constexpr auto first_pause = 1s;  // between two looks at a server that does not answer

// Heads are asked for each time, in one request; which libraries there are, and how full the
// account is, every so often.
constexpr unsigned looks_per_account = 10;

// What more waiting may heal.
bool passes(Errc code) {
  return code == Errc::interrupted || code == Errc::unreachable || code == Errc::busy;
}

}  // namespace

std::chrono::milliseconds MountedFilesystem::patience() const {
  return std::chrono::seconds(plan_.timeout_seconds);
}

void MountedFilesystem::start(Kernel& kernel) {
  {
    const std::lock_guard lock(mutex_);
    context_.kernel = &kernel;
  }
  for (auto* sync : all_syncs()) sync->poke();  // what an earlier mount left unsent
  pinner_.start();
  follower_ = std::jthread([this](const std::stop_token& stop) { follow(stop); });
}

void MountedFilesystem::stop() {
  follower_.request_stop();
  if (follower_.joinable()) follower_.join();
  pinner_.stop();
  if (!flushed_) send_all(Clock::now() + last_flush);
  if (const auto left = unsent_text(); !left.empty()) log::warning("unmount: " + left);
  remote_->end();
  const std::lock_guard lock(mutex_);
  context_.kernel = nullptr;
}

// Sends what there is as long as the server takes it; what it does not waits in state.
void MountedFilesystem::send_all(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  if (left.count() <= 0 || remote_->away() || unsent().names == 0) return;
  try {
    const auto most = std::min<std::chrono::milliseconds>({left, last_probe, patience()});
    auto waits = Waiting::at_most(most);
    waits.stop = waiting::here.stop;
    const WaitAs unmounting(std::move(waits));
    look_at_server();
  } catch (const Error& error) {
    log::debug(error.what());
    if (passes(error.code())) return;
  }
  for (auto* sync : all_syncs()) sync->send_now();
  for (auto* library : all_libraries()) {
    if (library->keys->locked()) continue;
    // In steps, as nothing wakes us when the server goes.
    while (!remote_->away() && Clock::now() < deadline && !waiting::here.stop.stop_requested()) {
      try {
        sync_of(library->id).wait_sent(std::min(deadline, Clock::now() + 1s));
        break;
      } catch (const Error& error) {
        if (!passes(error.code())) break;
      }
    }
  }
}

// By the thread that found out.
void MountedFilesystem::server_changed() {
  {
    const std::lock_guard lock(follow_mutex_);
    if (follower_id_ == std::this_thread::get_id()) return;
    look_now_ = true;
  }
  follow_changed_.notify_all();
}

void MountedFilesystem::follow(const std::stop_token& stop) {
  const std::chrono::seconds poll(plan_.poll_seconds);
  std::chrono::seconds pause = first_pause;
  {
    const std::lock_guard lock(follow_mutex_);
    follower_id_ = std::this_thread::get_id();
  }
  while (!stop.stop_requested()) {
    std::string error;
    try {
      auto waits = Waiting::at_most(patience());
      waits.stop = stop;
      const WaitAs following(std::move(waits));
      look_at_server();
    } catch (const Error& failed) {
      error = failed.what();
    }
    if (stop.stop_requested()) return;
    bool back = false;
    {
      const std::lock_guard lock(follow_mutex_);
      back = error.empty() && !connection_error_.empty();
      if (!error.empty() && connection_error_.empty()) log::warning(error);
      connection_error_ = error;
    }
    if (back) {
      log::info("the server answers again");
      for (auto* sync : all_syncs()) sync->server_is_back();
      pinner_.poke();
    }
    std::unique_lock lock(follow_mutex_);
    const bool answers = error.empty() && !remote_->away();
    follow_changed_.wait_for(lock, stop, answers ? poll : std::min(poll, pause),
                             [this] { return look_now_; });
    const bool asked = std::exchange(look_now_, false);
    if (asked) looks_until_account_ = 0;
    pause = answers || asked ? first_pause : pause * 2;
    pause = std::min(pause, poll);
  }
}

void MountedFilesystem::look_at_server() {
  std::vector<LibraryId> ids;
  for (const auto* library : all_libraries()) ids.push_back(library->id);
  if (!ids.empty()) {
    for (const auto& [library, head] : remote_->heads(ids)) sync_of(library).head_seen(head);
  }
  if (looks_until_account_ != 0 && !list_is_old_) {
    --looks_until_account_;
    return;
  }
  if (plan_.libraries.empty() || list_is_old_) look_at_libraries();
  const auto quota = remote_->quota();
  looks_until_account_ = looks_per_account - 1;
  const std::lock_guard lock(quota_mutex_);
  quota_ = quota;
}

// Libraries that appeared since; one that went stays as long as the mount does.
void MountedFilesystem::look_at_libraries() {
  const auto infos = remote_->libraries();
  remember(infos);
  Notices notices;
  for (const auto& info : infos) {
    {
      const std::lock_guard lock(mutex_);
      if (syncs_.contains(info.id)) {
        tree_.library(info.id).writable = info.writable;
        continue;
      }
    }
    if (!plan_.libraries.empty()) continue;  // all that were asked for are there
    add_library(info, false);
    const std::lock_guard lock(mutex_);
    notices.entries.emplace_back(root_ino, tree_.library(info.id).shown_name);
  }
  list_is_old_ = false;
  if (!notices.entries.empty()) notices.data.push_back(root_ino);
  if (context_.kernel) notices.tell(*context_.kernel);
}

}  // namespace nacre
