// SPDX-License-Identifier: Apache-2.0
//
// How many bytes may go in a second, over all transfers.  For one thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace nacre {

class TokenBucket {
 public:
  using Clock = std::chrono::steady_clock;

  explicit TokenBucket(std::uint64_t bytes_per_second) : rate_(bytes_per_second) {}  // 0: no limit

  void take(std::uint64_t bytes) noexcept {
    if (rate_ != 0) left_ -= static_cast<double>(bytes);
  }

  // Until the next one may begin; what has begun may go into debt.
  [[nodiscard]] std::chrono::milliseconds wait(Clock::time_point now) noexcept {
    if (rate_ == 0) return {};
    const auto rate = static_cast<double>(rate_);
    const std::chrono::duration<double> passed = now - filled_;
    filled_ = now;
    left_ = std::min(rate / 4, left_ + rate * passed.count());  // what is not used is not saved up
    if (left_ >= 0) return {};
    return std::chrono::ceil<std::chrono::milliseconds>(
        std::chrono::duration<double>(-left_ / rate));
  }

 private:
  std::uint64_t rate_;
  double left_ = 0;
  Clock::time_point filled_ = Clock::now();
};

}  // namespace nacre
