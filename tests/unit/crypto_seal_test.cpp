// SPDX-License-Identifier: Apache-2.0
//
// What secrets and seals promise at their edges; the common life is in crypto_test.cpp.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/error.hpp"
#include "crypto/password_hash.hpp"
#include "crypto/seal.hpp"
#include "crypto/secret.hpp"

namespace nacre {
namespace {

Secret secret(std::string_view text) { return Secret::copy_of(as_bytes(text)); }

template <class T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};

static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(std::is_nothrow_move_constructible_v<Secret>);
static_assert(!Printable<Secret>);

TEST_CASE("a secret that is assigned leaves nothing where it was") {
  auto first = secret("first");
  auto second = secret("the second");
  first = std::move(second);
  CHECK(as_text(std::as_const(first).bytes()) == "the second");
  CHECK(second.bytes().empty());  // NOLINT(bugprone-use-after-move): that is the question
}

TEST_CASE("secrets compare by all of their bytes") {
  CHECK_FALSE((secret("same") == secret("Same")));
  CHECK_FALSE((secret("same") == secret("samE")));
  CHECK_FALSE((secret("same") == secret("same longer")));
  CHECK((Secret(0) == Secret(0)));
  CHECK_FALSE((Secret::random(32) == Secret::random(32)));
}

TEST_CASE("a byte past the end of a secret is out of reach") {
  auto guarded = secret("thirteen char");
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGSEGV, SIG_DFL);
    const rlimit no_core = {0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    volatile auto* const end = guarded.bytes().data() + guarded.bytes().size();
    [[maybe_unused]] const auto read = *end;
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
}

TEST_CASE("wipe leaves zeros") {
  Bytes bytes(100, 0xaa);
  wipe(bytes);
  CHECK(bytes == Bytes(100));
  wipe({});
}

TEST_CASE("what was sealed opens, of any length, in place or anew") {
  const SealKey key(Secret::random(SealKey::size));
  for (const std::size_t size : {0, 1, 15, 16, 4096, 100000}) {
    const Bytes plain(size, 0x5a);
    const auto sealed = key.seal(as_bytes("here"), plain);
    CHECK(sealed.size() == size + SealKey::overhead);
    CHECK((key.open(as_bytes("here"), sealed) == plain));
    Bytes out(size), wrong_size(size + 1);
    CHECK(key.open(as_bytes("here"), sealed, out));
    CHECK((out == plain));
    CHECK_FALSE(key.open(as_bytes("here"), sealed, wrong_size));
  }
}

TEST_CASE("a flip of any bit, and any other length, does not open") {
  const SealKey key(Secret::random(SealKey::size));
  auto sealed = key.seal(as_bytes("here"), as_bytes("plain text"));
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    const auto mask = static_cast<std::uint8_t>(1U << bit % 8);
    sealed[bit / 8] ^= mask;
    CHECK_FALSE(key.open(as_bytes("here"), sealed));
    sealed[bit / 8] ^= mask;
  }
  for (std::size_t size = 0; size < sealed.size(); ++size)
    CHECK_FALSE(key.open(as_bytes("here"), ByteView(sealed).first(size)));
  auto longer = sealed;
  longer.push_back(0);
  CHECK_FALSE(key.open(as_bytes("here"), longer));
  CHECK(key.open(as_bytes("here"), sealed));
}

TEST_CASE("a place is all of its bytes, and a key is not another's") {
  const SealKey key(Secret::random(SealKey::size)), other(Secret::random(SealKey::size));
  const auto sealed = key.seal(as_bytes("here"), as_bytes("plain text"));
  CHECK_FALSE(key.open(as_bytes("here "), sealed));
  CHECK_FALSE(key.open({}, sealed));
  CHECK_FALSE(other.open(as_bytes("here"), sealed));
  CHECK(other.tag(as_bytes("name")) != key.tag(as_bytes("name")));
}

TEST_CASE("derived keys are told apart by name, and made again by name") {
  const auto master = Secret::random(SealKey::size);
  const SealKey key(master.clone()), again(master.clone());
  const auto sealed = key.derive("state").seal(as_bytes("here"), as_bytes("text"));
  CHECK(again.derive("state").open(as_bytes("here"), sealed));
  CHECK_FALSE(key.derive("cache").open(as_bytes("here"), sealed));
  CHECK_FALSE(key.derive("").open(as_bytes("here"), sealed));
  CHECK_FALSE(key.open(as_bytes("here"), sealed));
}

TEST_CASE("a seal key of another size is refused") {
  CHECK_THROWS_AS(SealKey(Secret::random(31)), Error);
  CHECK_THROWS_AS(SealKey(Secret::random(33)), Error);
}

TEST_CASE("a password's hash has a salt of its own, and what is no hash verifies nothing") {
  const auto hash = hash_password(secret("Passw0rd!"));
  CHECK(hash_password(secret("Passw0rd!")) != hash);
  CHECK(hash.find("Passw0rd") == std::string::npos);
  CHECK_FALSE(verify_password(hash, Secret(0)));
  for (const char* const text : {"", "$argon2id$", "$argon2id$v=19$m=65536,t=2,p=1$", "Passw0rd!"})
    CHECK_FALSE(verify_password(text, secret("Passw0rd!")));
}

}  // namespace
}  // namespace nacre
