// SPDX-License-Identifier: Apache-2.0
#include "crypto/random.hpp"

#include <sodium.h>

#include <array>
#include <string>

#include "base/error.hpp"

namespace nacre {

void fill_random(MutableByteView bytes) {
  if (sodium_init() < 0) throw Error(Errc::internal, "libsodium: cannot be initialised");
  randombytes_buf(bytes.data(), bytes.size());
}

ObjectId random_id() {
  ObjectId id;
  fill_random(id.bytes);
  return id;
}

LibraryId random_library_id() {
  std::array<std::uint8_t, 16> bytes;
  fill_random(bytes);
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0fU) | 0x40U);  // version 4
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3fU) | 0x80U);  // RFC 4122 variant
  auto text = to_hex(bytes);
  for (const std::size_t dash : {8U, 13U, 18U, 23U}) text.insert(dash, "-");
  return *LibraryId::parse(text);
}

}  // namespace nacre
