// SPDX-License-Identifier: Apache-2.0
//
// The key of a library while it is unlocked.  Any thread may call any member.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <utility>

#include "base/error.hpp"
#include "crypto/library_key.hpp"

namespace nacre {

class KeyHolder {
 public:
  explicit KeyHolder(bool encrypted) : encrypted_(encrypted) {}

  [[nodiscard]] bool encrypted() const noexcept { return encrypted_; }
  [[nodiscard]] bool locked() const {
    const std::lock_guard lock(mutex_);
    return encrypted_ && !key_;
  }

  // Null for a plain library.  Throws Error{locked}.
  [[nodiscard]] std::shared_ptr<const LibraryKey> get() const {
    const std::lock_guard lock(mutex_);
    if (encrypted_ && !key_)
      throw Error(Errc::locked, "library: locked; unlock it with `nacre unlock`");
    return key_;
  }
  void set(std::shared_ptr<const LibraryKey> key) {
    wanted_ = false;
    const std::lock_guard lock(mutex_);
    key_ = std::move(key);
  }

  // Somebody looked for what is locked, since the key was set or taken away.
  void want() noexcept { wanted_ = true; }
  [[nodiscard]] bool wanted() const noexcept { return wanted_; }

 private:
  const bool encrypted_;
  std::atomic<bool> wanted_ = false;
  mutable std::mutex mutex_;
  std::shared_ptr<const LibraryKey> key_;  // guarded by mutex_
};

}  // namespace nacre
