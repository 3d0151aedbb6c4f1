// SPDX-License-Identifier: Apache-2.0
#include "fs/watched_remote.hpp"

#include <type_traits>

#include "base/error.hpp"
#include "base/waiting.hpp"

namespace nacre {
namespace {

// Whether a failure shows that somebody answered; ours do not.
bool is_an_answer(Errc code) {
  return code != Errc::interrupted && code != Errc::internal && code != Errc::invalid &&
         code != Errc::full;
}

constexpr const char* asleep = "server: not asked, the machine is going to sleep";

}  // namespace

void WatchedRemote::rest() {
  std::stop_source rest;
  {
    const std::lock_guard lock(mutex_);
    rest = rest_;
  }
  rest.request_stop();
}

void WatchedRemote::resume() {
  {
    const std::lock_guard lock(mutex_);
    rest_ = {};
  }
  changed_();
}

void WatchedRemote::note(bool away, const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    why_ = why;
  }
  if (away_.exchange(away) != away) changed_();
}

template <class Ask>
auto WatchedRemote::ask(Ask ask) {
  if (end_.stop_requested())
    throw Error(Errc::interrupted, "server: not asked any more, the mount is ending");
  auto waits = waiting::here;
  std::stop_token resting;
  {
    const std::lock_guard lock(mutex_);
    if (waits.fail_fast && away_) throw Error(Errc::unreachable, why_);
    resting = rest_.get_token();
  }
  // Who has nobody to end its waiting waits no longer than the mount lives.
  const auto own = waits.stop.stop_possible() ? waits.stop : end_.get_token();
  std::stop_source either;
  const auto stop = [&] { either.request_stop(); };
  const std::stop_callback on_own(own, stop), on_rest(resting, stop);
  waits.stop = either.get_token();
  const WaitAs caller(std::move(waits));
  try {
    if (resting.stop_requested()) throw Error(Errc::interrupted, asleep);
    if constexpr (std::is_void_v<decltype(ask())>) {
      ask();
      if (away_) note(false, {});
    } else {
      auto answer = ask();
      if (away_) note(false, {});
      return answer;
    }
  } catch (const Error& error) {
    if (error.code() == Errc::interrupted && resting.stop_requested() && !own.stop_requested()) {
      note(true, asleep);
      throw Error(Errc::unreachable, asleep);
    }
    if (error.code() == Errc::unreachable)
      note(true, error.what());
    else if (away_ && is_an_answer(error.code()))
      note(false, {});
    throw;
  }
}

std::vector<LibraryInfo> WatchedRemote::libraries() {
  return ask([&] { return remote_->libraries(); });
}
LibraryInfo WatchedRemote::create_library(const NewLibrary& library) {
  return ask([&] { return remote_->create_library(library); });
}
void WatchedRemote::rename_library(const LibraryId& library, const std::string& name) {
  ask([&] { remote_->rename_library(library, name); });
}
void WatchedRemote::delete_library(const LibraryId& library) {
  ask([&] { remote_->delete_library(library); });
}
ObjectId WatchedRemote::head(const LibraryId& library) {
  return ask([&] { return remote_->head(library); });
}
std::vector<LibraryHead> WatchedRemote::heads(std::span<const LibraryId> libraries) {
  return ask([&] { return remote_->heads(libraries); });
}
Commit WatchedRemote::commit(const LibraryId& library, const ObjectId& id) {
  return ask([&] { return remote_->commit(library, id); });
}
std::vector<FsObject> WatchedRemote::objects(const LibraryId& library,
                                             std::span<const ObjectId> ids) {
  return ask([&] { return remote_->objects(library, ids); });
}
Bytes WatchedRemote::arriving_block(const LibraryId& library, const ObjectId& id,
                                    const BlockArrives& arrives) {
  auto stored = ask([&] { return remote_->arriving_block(library, id, arrives); });
  received_ += stored.size();
  return stored;
}
std::vector<std::uint64_t> WatchedRemote::block_sizes(const LibraryId& library,
                                                      const ObjectId& file) {
  return ask([&] { return remote_->block_sizes(library, file); });
}
std::vector<ObjectId> WatchedRemote::missing_objects(const LibraryId& library,
                                                     std::span<const ObjectId> ids) {
  return ask([&] { return remote_->missing_objects(library, ids); });
}
std::vector<ObjectId> WatchedRemote::missing_blocks(const LibraryId& library,
                                                    std::span<const ObjectId> ids) {
  return ask([&] { return remote_->missing_blocks(library, ids); });
}
void WatchedRemote::check_upload(const LibraryId& library, std::int64_t added_bytes) {
  ask([&] { remote_->check_upload(library, added_bytes); });
}
void WatchedRemote::put_commit(const Commit& commit) {
  ask([&] { remote_->put_commit(commit); });
}
void WatchedRemote::put_objects(const LibraryId& library, std::span<const FsObject> objects) {
  ask([&] { remote_->put_objects(library, objects); });
}
void WatchedRemote::put_block(const LibraryId& library, const ObjectId& id, ByteView stored) {
  ask([&] { remote_->put_block(library, id, stored); });
  sent_ += stored.size();
}
ObjectId WatchedRemote::publish(const LibraryId& library, const ObjectId& commit) {
  return ask([&] { return remote_->publish(library, commit); });
}
Quota WatchedRemote::quota() {
  return ask([&] { return remote_->quota(); });
}

}  // namespace nacre
