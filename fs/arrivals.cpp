// SPDX-License-Identifier: Apache-2.0
#include "fs/arrivals.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/waiting.hpp"

namespace nacre {
namespace {

using Clock = std::chrono::steady_clock;

// Who reads on and on is served best by whole blocks, where these come faster than this.
constexpr std::chrono::milliseconds soon{20};

}  // namespace

struct Arrivals::Want {
  Part part;
  MutableByteView out;
  Clock::time_point not_before;
  std::shared_ptr<Heard> heard = waiting::here.heard;  // by who waits; may be null
  bool over = false, filled = false;
  std::optional<Errc> code = {};  // of the failure, kept as words: threads share no exception
  std::string why = {};

  [[nodiscard]] bool fits(std::uint64_t come, std::uint64_t size) const {
    const auto end = part.offset + out.size();
    return end <= come && end < size && (part.expected == 0 || part.expected == size);
  }
};

Arrivals::Arrivals(std::size_t most, Fetch fetch)
    : most_(most),
      fetch_(std::move(fetch)),
      fetchers_(static_cast<unsigned>(most),
                [this](const Fetchers::Job& job, const std::stop_token& stop) {
                  this->fetch(job, stop);
                }) {}

bool Arrivals::take(const Fetchers::Job& job, const Part& part, MutableByteView out) {
  Want want{part, out, Clock::now() + (part.hurried ? std::chrono::milliseconds{0} : soon)};
  std::unique_lock lock(mutex_);
  auto* const block = arriving(job);
  if (block == nullptr) return false;
  block->wants.push_back(&want);
  ++wanted_;
  const auto how = waiting::wait(changed_, lock, [&] { return want.over; });
  --wanted_;
  if (how == waiting::End::done) {  // and so it is in no list any more
    if (want.code) throw Error(*want.code, want.why);
    return want.filled;
  }
  block->wants.remove(&want);
  if (how == waiting::End::stopped && block->wants.empty()) block->stop.request_stop();
  waiting::fail(how);
}

// The block, whose fetch begins if it has not; null where one is being given up.
Arrivals::Arriving* Arrivals::arriving(const Fetchers::Job& job) {
  const auto known = std::ranges::find(arriving_, job.key, &Arriving::key);
  if (known != arriving_.end()) return known->stop.stop_requested() ? nullptr : &*known;
  if (arriving_.size() >= most_) give_up_one();
  if (!fetchers_.ask(job)) return nullptr;
  return &arriving_.emplace_back(job.key);
}

// The newest: of the others more has come.
void Arrivals::give_up_one() {
  const auto idle = std::find_if(arriving_.rbegin(), arriving_.rend(), [](const Arriving& a) {
    return a.wants.empty() && !a.stop.stop_requested();
  });
  if (idle != arriving_.rend()) idle->stop.request_stop();
}

void Arrivals::came(const ContentId& key, ByteView so_far, std::uint64_t size) noexcept {
  if (wanted_ == 0) return;
  const std::lock_guard lock(mutex_);
  const auto block = std::ranges::find(arriving_, key, &Arriving::key);
  if (block == arriving_.end()) return;
  const auto now = Clock::now();
  const auto filled = std::erase_if(block->wants, [&](Want* want) {
    if (want->heard) want->heard->store(now);
    if (!want->fits(so_far.size(), size) || now < want->not_before) return false;
    std::memcpy(want->out.data(), so_far.data() + want->part.offset, want->out.size());
    return want->filled = want->over = true;
  });
  if (filled == 0) return;
  block->given = true;
  changed_.notify_all();
}

void Arrivals::fetch(const Fetchers::Job& job, const std::stop_token& stop) {
  std::stop_source either;
  {
    const std::lock_guard lock(mutex_);
    either = std::ranges::find(arriving_, job.key, &Arriving::key)->stop;
  }
  const std::stop_callback ending(stop, [&] { either.request_stop(); });
  try {
    fetch_(job, either.get_token());
    end(job.key, nullptr);
  } catch (const Error& error) {
    end(job.key, &error);
  } catch (const std::exception& e) {
    const Error error(Errc::internal, e.what());
    end(job.key, &error);
  }
}

void Arrivals::end(const ContentId& key, const Error* error) {
  const std::lock_guard lock(mutex_);
  const auto block = std::ranges::find(arriving_, key, &Arriving::key);
  for (auto* want : block->wants) {
    if (error != nullptr) {
      want->code = error->code();
      want->why = error->what();
    }
    want->over = true;
  }
  if (error != nullptr && error->code() == Errc::corrupt && block->given) {
    log::warning("a block came damaged after a part of it had been read");
    spoiled_.insert(key);
    any_spoiled_ = true;
  }
  arriving_.erase(block);
  changed_.notify_all();
}

bool Arrivals::spoiled(const ContentId& block) const {
  const std::lock_guard lock(mutex_);
  return spoiled_.contains(block);
}

}  // namespace nacre
