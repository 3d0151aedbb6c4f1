// SPDX-License-Identifier: Apache-2.0
//
// Secrets, ids, seals and passwords.
#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "crypto/hash.hpp"
#include "crypto/password_hash.hpp"
#include "crypto/random.hpp"
#include "crypto/seal.hpp"

using namespace nacre;

namespace {

Secret secret(std::string_view text) { return Secret::copy_of(as_bytes(text)); }
const std::string key_text(32, 'k');

}  // namespace

TEST_CASE("an id is the SHA-1 of the bytes, however they come") {
  CHECK(sha1(as_bytes("Hello, Seafile!\n")).hex() == "2584b5c55a767752ca33bd0f79bdd6be4b1fd8ab");
  Sha1 hash;
  hash.update(as_bytes("Hello, "));
  hash.update(as_bytes("Seafile!\n"));
  CHECK(hash.finish().hex() == "2584b5c55a767752ca33bd0f79bdd6be4b1fd8ab");
}

TEST_CASE("a secret moves, is compared and cloned, and is empty when it has gone") {
  auto one = secret("abc");
  auto two = one.clone();
  CHECK(one == two);
  two.bytes()[0] = 'x';
  CHECK_FALSE(one == two);
  const auto moved = std::move(one);
  CHECK(as_text(moved.bytes()) == "abc");
  CHECK(one.bytes().empty());  // NOLINT(bugprone-use-after-move): that is the promise
}

TEST_CASE("what was sealed opens at its place only, and whole") {
  const SealKey key(secret(key_text));
  const auto sealed = key.seal(as_bytes("here"), as_bytes("content"));
  CHECK(sealed.size() == 7 + SealKey::overhead);
  const auto opened = key.open(as_bytes("here"), sealed);
  REQUIRE(opened);
  CHECK(as_text(*opened) == "content");
  CHECK_FALSE(key.open(as_bytes("there"), sealed));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    auto damaged = sealed;
    damaged[i] ^= 1U;
    CHECK_FALSE(key.open(as_bytes("here"), damaged));
  }
  CHECK_FALSE(key.open(as_bytes("here"), ByteView(sealed).first(sealed.size() - 1)));
  CHECK_FALSE(key.derive("other").open(as_bytes("here"), sealed));
  CHECK(key.seal(as_bytes("here"), as_bytes("content")) != sealed);  // a nonce of its own
  CHECK(key.tag(as_bytes("name")) == SealKey(secret(key_text)).tag(as_bytes("name")));
  CHECK(key.tag(as_bytes("name")) != key.tag(as_bytes("Name")));
  CHECK(key.tag(as_bytes("name")) != key.derive("other").tag(as_bytes("name")));
}

TEST_CASE("a password is told from others by its hash") {
  const auto hash = hash_password(secret("correct horse"));
  CHECK(hash.starts_with("$argon2id$"));
  CHECK(verify_password(hash, secret("correct horse")));
  CHECK_FALSE(verify_password(hash, secret("correct house")));
  CHECK_FALSE(verify_password("nonsense", secret("correct horse")));
}

TEST_CASE("random names parse as what they are, and differ") {
  CHECK(LibraryId::parse(random_library_id().text()));
  CHECK(random_library_id() != random_library_id());
  CHECK(random_id() != random_id());
}
