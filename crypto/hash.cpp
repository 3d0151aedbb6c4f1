// SPDX-License-Identifier: Apache-2.0
#include "crypto/hash.hpp"

#include <openssl/evp.h>

#include <new>

#include "base/error.hpp"

namespace nacre {

struct Sha1::State {
  struct Free {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
};

Sha1::Sha1() : state_(std::make_unique<State>()) {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  if (!state_->context) throw std::bad_alloc();
  if (EVP_DigestInit_ex(state_->context.get(), algorithm, nullptr) != 1)
    throw Error(Errc::internal, "SHA-1: not offered by this OpenSSL");
}

Sha1::~Sha1() = default;
Sha1::Sha1(Sha1&&) noexcept = default;
Sha1& Sha1::operator=(Sha1&&) noexcept = default;

void Sha1::update(ByteView bytes) {
  EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size());
}

ObjectId Sha1::finish() {
  ObjectId id;
  EVP_DigestFinal_ex(state_->context.get(), id.bytes.data(), nullptr);
  return id;
}

ObjectId sha1(ByteView bytes) {
  Sha1 hash;
  hash.update(bytes);
  return hash.finish();
}

}  // namespace nacre
