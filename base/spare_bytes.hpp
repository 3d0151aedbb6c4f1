// SPDX-License-Identifier: Apache-2.0
//
// Large buffers that come and go, used again: fresh memory costs more in page
// faults than what is then done with it.  Keeps few; for the rest malloc is asked.
//
// Any thread may call any function.
#pragma once

#include <cstddef>
#include <memory>

#include "base/bytes.hpp"

namespace nacre::spare_bytes {

// Empty, with room for `size` bytes at least.
Bytes take(std::size_t size);
void give_back(Bytes bytes) noexcept;
void let_go() noexcept;  // of all that is kept

// The bytes, given back when nobody has them any more.
std::shared_ptr<const Bytes> shared(Bytes bytes);

}  // namespace nacre::spare_bytes
