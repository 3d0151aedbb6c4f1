// SPDX-License-Identifier: Apache-2.0
//
// Random names, from the system's generator.
#pragma once

#include "base/bytes.hpp"
#include "base/ids.hpp"

namespace nacre {

void fill_random(MutableByteView bytes);
ObjectId random_id();           // a client id, a commit id, a token
LibraryId random_library_id();  // a version 4 UUID

}  // namespace nacre
