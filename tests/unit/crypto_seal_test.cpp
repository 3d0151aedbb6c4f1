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
    Bytes head(std::min<std::size_t>(size, 12)), rest(size - head.size());
    CHECK(key.open(as_bytes("here"), sealed, head, rest));
    head.insert(head.end(), rest.begin(), rest.end());
    CHECK((head == plain));
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

TEST_CASE("a seal is XChaCha20-Poly1305 as others make it") {  // draft-irtf-cfrg-xchacha, A.3.1
  const auto hex = [](std::string_view text) { return from_hex(text).value(); };
  const SealKey key(
      Secret::copy_of(hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f")));
  const auto sealed = hex(
      "404142434445464748494a4b4c4d4e4f5051525354555657"
      "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda"
      "7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b23835"
      "65d3fff921f9664c97637da9768812f615c68b13b52e"
      "c0875924c1c7987947deafd8780acf49");
  const auto opened = key.open(hex("50515253c0c1c2c3c4c5c6c7"), sealed);
  REQUIRE(opened);
  CHECK(as_text(*opened) ==
        "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        "future, sunscreen would be it.");
}

TEST_CASE("what does not open leaves nothing of it") {
  const SealKey key(Secret::random(SealKey::size));
  auto sealed = key.seal(as_bytes("here"), as_bytes("plain text"));
  sealed.back() ^= 1U;
  Bytes out(10, 0xaa);
  CHECK_FALSE(key.open(as_bytes("here"), sealed, out));
  CHECK((out == Bytes(10)));
  Bytes head(4, 0xaa), rest(6, 0xaa);
  CHECK_FALSE(key.open(as_bytes("here"), sealed, head, rest));
  CHECK((head == Bytes(4) && rest == Bytes(6)));
}

TEST_CASE("a proof is of one text at one place, under one key") {
  const SealKey key(Secret::random(SealKey::size)), other(Secret::random(SealKey::size));
  Bytes text(100, 0x5a), proof(SealKey::overhead);
  key.prove(as_bytes("here"), text, proof);
  CHECK(key.proves(as_bytes("here"), text, proof));
  CHECK_FALSE(other.proves(as_bytes("here"), text, proof));
  CHECK_FALSE(key.proves(as_bytes("there"), text, proof));
  CHECK_FALSE(key.proves(as_bytes("hereZ"), ByteView(text).subspan(1), proof));  // Z is 0x5a
  CHECK_FALSE(key.proves(as_bytes("here"), ByteView(text).first(99), proof));
  CHECK_FALSE(key.open(as_bytes("here"), proof));
  for (auto* const bytes : {&text, &proof}) {
    for (std::size_t bit = 0; bit < bytes->size() * 8; ++bit) {
      const auto mask = static_cast<std::uint8_t>(1U << bit % 8);
      (*bytes)[bit / 8] ^= mask;
      CHECK_FALSE(key.proves(as_bytes("here"), text, proof));
      (*bytes)[bit / 8] ^= mask;
    }
  }
  CHECK(key.proves(as_bytes("here"), text, proof));
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
