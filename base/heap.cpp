// SPDX-License-Identifier: Apache-2.0
#include "base/heap.hpp"

#include <malloc.h>

namespace nacre::heap {

void keep_large_buffers() noexcept {
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);  // as much as malloc lets it be
  ::mallopt(M_TRIM_THRESHOLD, 64 << 20);  // more than comes and goes in a moment
  ::mallopt(M_ARENA_MAX, 1);              // or every thread keeps what it had
}

void give_back() noexcept { ::malloc_trim(0); }

}  // namespace nacre::heap
