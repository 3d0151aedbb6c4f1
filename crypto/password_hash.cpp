// SPDX-License-Identifier: Apache-2.0
#include "crypto/password_hash.hpp"

#include <sodium.h>

#include <array>
#include <new>

#include "base/error.hpp"

namespace nacre {
namespace {

const char* chars(const Secret& password) {
  return reinterpret_cast<const char*>(password.bytes().data());
}

}  // namespace

std::string hash_password(const Secret& password) {
  if (sodium_init() < 0) throw Error(Errc::internal, "libsodium: cannot be initialised");
  std::array<char, crypto_pwhash_STRBYTES> text = {};
  if (crypto_pwhash_str(text.data(), chars(password), password.bytes().size(),
                        crypto_pwhash_OPSLIMIT_INTERACTIVE,
                        crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0)
    throw std::bad_alloc();  // the only way in which it fails
  return text.data();
}

bool verify_password(const std::string& hash, const Secret& password) {
  if (sodium_init() < 0) throw Error(Errc::internal, "libsodium: cannot be initialised");
  return crypto_pwhash_str_verify(hash.c_str(), chars(password), password.bytes().size()) == 0;
}

}  // namespace nacre
