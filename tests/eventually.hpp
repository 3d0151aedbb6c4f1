// SPDX-License-Identifier: Apache-2.0
//
// Waits for what another thread brings about.
#pragma once

#include <chrono>
#include <thread>

namespace nacre::test {

// False where it has not come true within the limit.
template <class Condition>
bool eventually(Condition condition, std::chrono::seconds limit = std::chrono::seconds(20)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace nacre::test
