// SPDX-License-Identifier: Apache-2.0
//
// How an account's list of libraries is spelled in the state environment
// (cache/FORMAT.md), for a mount whose server does not answer: under the key
// "libraries", as the server told it last.  Numbers little-endian, strings with a 32-bit length.
// Pure functions; the decoder throws Error{corrupt}.
#pragma once

#include <vector>

#include "base/bytes.hpp"
#include "remote/remote.hpp"

namespace nacre {

namespace record_key {
Bytes libraries();
}  // namespace record_key

Bytes encode(const std::vector<LibraryInfo>& libraries);
std::vector<LibraryInfo> decode_libraries(ByteView bytes);

}  // namespace nacre
