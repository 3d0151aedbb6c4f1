// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "code_of.hpp"
#include "crypto/random.hpp"
#include "fs/known_keys.hpp"
#include "temp_dir.hpp"

namespace nacre {
namespace {

using test::code_of;

struct Fixture {
  Secret secret(std::string_view text) { return Secret::copy_of(as_bytes(text)); }

  test::TempDir dir;
  SealKey device{Secret::random(SealKey::size)};
  KnownKeys known{dir.path(), device};
  LibraryId library = random_library_id();
  NewLibraryKey made = make_library_key(library, 4, secret("a password"));
};

TEST_CASE_METHOD(Fixture, "what is not known yet is taken as it is told", "[known keys]") {
  CHECK_FALSE(known.find(library));
  CHECK_NOTHROW(known.check(library, "L", made.encryption));
  CHECK_NOTHROW(known.check_accepted(library, "L", made.encryption, made.key));
}

TEST_CASE_METHOD(Fixture, "what is known outlives the program, for this device only",
                 "[known keys]") {
  known.remember(library, made.encryption, made.key);
  const KnownKeys again(dir.path(), device);
  REQUIRE(again.find(library));
  CHECK(again.find(library)->how == made.encryption);
  CHECK_NOTHROW(again.check(library, "L", made.encryption));
  const KnownKeys other(dir.path(), SealKey(Secret::random(SealKey::size)));
  CHECK(code_of([&] { (void)other.find(library); }) == Errc::corrupt);
}

TEST_CASE_METHOD(Fixture, "another wrapping, password, salt or hash is refused, and named",
                 "[known keys]") {
  known.remember(library, made.encryption, made.key);
  const auto refused = [&](Encryption told, const char* why) {
    CHECK_THROWS_WITH(known.check(library, "L", told), Catch::Contains(why));
    CHECK(code_of([&] { known.check(library, "L", told); }) == Errc::denied);
  };
  auto told = made.encryption;
  told.random_key[0] ^= 1;
  refused(told, "wrapped otherwise for the same password");
  refused(*change_password(library, made.encryption, secret("a password"), secret("another")),
          "it is for another password");
  told = made.encryption;
  told.salt[0] ^= 1;
  refused(told, "its salt is another");
  told = made.encryption;
  told.version = 3;
  refused(told, "its version of encryption was 4 and is 3");
  told = made.encryption;
  told.magic.clear();
  told.pwd_hash = made.encryption.magic;
  told.pwd_hash_algo = "argon2id";
  told.pwd_hash_params = "2,102400,8";
  CHECK(what_changed(told, made.encryption) ==
        "its password hash was argon2id (2,102400,8) and is pbkdf2 (1000 rounds), which is weaker");
  CHECK(what_changed(made.encryption, told) ==
        "its password hash was pbkdf2 (1000 rounds) and is argon2id (2,102400,8)");
}

TEST_CASE_METHOD(Fixture, "a person can accept another password, but not another key",
                 "[known keys]") {
  known.remember(library, made.encryption, made.key);
  const auto changed =
      *change_password(library, made.encryption, secret("a password"), secret("another"));
  const auto same = unlock(library, changed, secret("another"));
  CHECK_NOTHROW(known.check_accepted(library, "L", changed, *same));
  const auto replaced = make_library_key(library, 4, secret("another"));
  auto told = replaced.encryption;
  CHECK(code_of([&] { known.check_accepted(library, "L", told, replaced.key); }) == Errc::denied);
  told.salt = made.encryption.salt;
  CHECK_THROWS_WITH(known.check_accepted(library, "L", told, replaced.key),
                    Catch::Contains("another key than the one that its contents"));
}

TEST_CASE_METHOD(Fixture, "what this machine is about to publish is as good", "[known keys]") {
  const auto next =
      *change_password(library, made.encryption, secret("a password"), secret("another"));
  known.remember(library, made.encryption, made.key, next);
  CHECK_NOTHROW(known.check(library, "L", made.encryption));
  CHECK_NOTHROW(known.check(library, "L", next));
  known.remember(library, next, made.key);
  CHECK(code_of([&] { known.check(library, "L", made.encryption); }) == Errc::denied);
}

}  // namespace
}  // namespace nacre
