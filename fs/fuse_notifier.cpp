// SPDX-License-Identifier: Apache-2.0
#include "fs/fuse_notifier.hpp"

#include <fuse_lowlevel.h>

#include <exception>
#include <utility>

#include "base/log.hpp"

namespace nacre {

void Notifier::entry_changed(Ino parent, std::string_view name) noexcept { add(parent, name); }

void Notifier::data_changed(Ino ino) noexcept { add(ino, std::nullopt); }

void Notifier::add(Ino ino, std::optional<std::string_view> name) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
    changes_.push_back({ino, name ? std::optional<std::string>(*name) : std::nullopt});
  } catch (const std::exception&) {
    log::error("no memory to tell the kernel of a change: it may show something old for an hour");
    return;
  }
  ready_.notify_one();
}

void Notifier::stop() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changes_.clear();
  }
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Notifier::tell(const std::stop_token& stop) noexcept {
  for (;;) {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, stop, [this] { return !changes_.empty(); });
    if (stop.stop_requested()) return;
    const auto change = std::move(changes_.front());
    changes_.pop_front();
    lock.unlock();
    // Failures mean that the kernel did not know of it anyway.
    if (change.name)
      fuse_lowlevel_notify_inval_entry(session_, change.ino, change.name->data(),
                                       change.name->size());
    else
      fuse_lowlevel_notify_inval_inode(session_, change.ino, 0, 0);
  }
}

}  // namespace nacre
