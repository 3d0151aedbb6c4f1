// SPDX-License-Identifier: Apache-2.0
#include "fs/ready_parts.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace nacre {
namespace {

constexpr std::uint64_t part_size = std::uint64_t{512} << 10U;
constexpr std::uint64_t ahead = 3 * part_size;
constexpr std::uint64_t behind = part_size / 2;  // the kernel's requests come shuffled

constexpr std::uint64_t aligned_up(std::uint64_t offset) {
  return (offset + part_size - 1) / part_size * part_size;
}

}  // namespace

ReadyParts::ReadyParts(Workers& workers, std::uint64_t file_size)
    : workers_(workers), size_(file_size) {}

std::size_t ReadyParts::take(std::uint64_t offset, MutableByteView out) {
  std::unique_lock lock(shared_->mutex);
  auto& parts = shared_->parts;
  const auto found = std::ranges::find_if(
      parts, [&](const auto& part) { return part->begin <= offset && offset < part->end; });
  if (found == parts.end()) return 0;
  const auto part = *found;
  if (part->state == State::waits) {  // we are faster
    part->state = State::given_up;
    parts.erase(found);
    return 0;
  }
  shared_->changed.wait(lock, [&] { return part->state != State::being_made; });
  lock.unlock();
  if (part->state != State::made) return 0;
  const auto from = part->bytes.bytes().subspan(static_cast<std::size_t>(offset - part->begin));
  const auto size = std::min(from.size(), out.size());
  std::memcpy(out.data(), from.data(), size);
  if (offset + size == size_) stop();  // the file has been read
  return size;
}

void ReadyParts::go_on(std::uint64_t offset, const Make& make) {
  const std::lock_guard lock(shared_->mutex);
  auto& parts = shared_->parts;
  std::erase_if(parts, [&](const auto& part) {
    const bool passed = part->end + behind < offset || part->begin > offset + ahead;
    if (passed && part->state == State::waits) part->state = State::given_up;
    return passed;
  });
  const auto end = std::min(size_, aligned_up(offset + 1) + ahead);
  for (asked_ = std::max(asked_, aligned_up(offset)); asked_ < end;) {
    auto room = workers_.room(part_size);
    if (!room) return;
    const auto part = std::make_shared<Part>();
    part->begin = std::exchange(asked_, std::min(size_, asked_ + part_size));
    part->end = asked_;
    part->room = std::move(room);
    parts.push_back(part);
    workers_.run([shared = shared_, part, make] { make_one(*shared, *part, make); });
  }
}

void ReadyParts::stop() {
  const std::lock_guard lock(shared_->mutex);
  for (auto& part : shared_->parts)
    if (part->state == State::waits) part->state = State::given_up;
  shared_->parts.clear();
  asked_ = 0;
}

void ReadyParts::make_one(Shared& shared, Part& part, const Make& make) {
  {
    const std::lock_guard lock(shared.mutex);
    if (part.state != State::waits) return;
    part.state = State::being_made;
  }
  const auto size = static_cast<std::size_t>(part.end - part.begin);
  part.bytes = Buffer(size);
  const bool made = make(part.begin, part.bytes.room());
  part.bytes.use(size);
  {
    const std::lock_guard lock(shared.mutex);
    part.state = made ? State::made : State::given_up;
  }
  shared.changed.notify_all();
}

}  // namespace nacre
