// SPDX-License-Identifier: Apache-2.0
#include "crypto/secret.hpp"

#include <sodium.h>

#include <algorithm>
#include <new>

#include "base/error.hpp"

namespace nacre {

Secret::Secret(std::size_t size) : size_(size) {
  if (sodium_init() < 0) throw Error(Errc::internal, "libsodium: no init");
  data_.reset(static_cast<std::uint8_t*>(sodium_malloc(size)));
  if (!data_) throw std::bad_alloc();
}

Secret Secret::random(std::size_t size) {
  Secret secret(size);
  randombytes_buf(secret.data_.get(), size);
  return secret;
}

Secret Secret::copy_of(ByteView bytes) {
  Secret secret(bytes.size());
  std::ranges::copy(bytes, secret.data_.get());
  return secret;
}

Secret Secret::clone() const { return copy_of(bytes()); }

MutableByteView Secret::bytes() noexcept { return {data_.get(), data_ ? size_ : 0}; }

ByteView Secret::bytes() const noexcept { return {data_.get(), data_ ? size_ : 0}; }

bool operator==(const Secret& a, const Secret& b) noexcept {
  const auto x = a.bytes(), y = b.bytes();
  return x.size() == y.size() && sodium_memcmp(x.data(), y.data(), x.size()) == 0;
}

void Secret::Wipe::operator()(std::uint8_t* p) const noexcept { sodium_free(p); }

void wipe(MutableByteView bytes) noexcept { sodium_memzero(bytes.data(), bytes.size()); }

}  // namespace nacre
