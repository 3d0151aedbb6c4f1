// SPDX-License-Identifier: Apache-2.0
//
// A value and the mutex that guards it, as one object: there is no way to the
// value that does not hold the lock.
#pragma once

#include <mutex>
#include <utility>

namespace nacre {

template <class T>
class Guarded {
 public:
  template <class... Args>
  explicit Guarded(Args&&... args) : value_(std::forward<Args>(args)...) {}

  // Runs f on the value with the lock held, and returns f's result by value,
  // so that no reference to the value gets out.  Inside f: no I/O, no other
  // lock, no call to code that was handed to us.
  template <class F>
  auto with(F&& f) {
    const std::lock_guard lock(mutex_);
    return std::forward<F>(f)(value_);
  }

  template <class F>
  auto with(F&& f) const {
    const std::lock_guard lock(mutex_);
    return std::forward<F>(f)(std::as_const(value_));
  }

 private:
  mutable std::mutex mutex_;
  T value_;
};

}  // namespace nacre
