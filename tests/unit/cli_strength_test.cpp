// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <set>

#include "base/error.hpp"
#include "cli/password_strength.hpp"
#include "crypto/verifier.hpp"

namespace nacre {
namespace {

Secret secret(std::string_view text) { return Secret::copy_of(as_bytes(text)); }

Encryption with_hash(const std::string& algorithm, const std::string& parameters) {
  Encryption how;
  how.version = 4;
  how.pwd_hash = std::string(64, '0');
  how.pwd_hash_algo = algorithm;
  how.pwd_hash_params = parameters;
  return how;
}

TEST_CASE("a password is worth what it takes to guess it", "[strength]") {
  CHECK(guessing_bits(secret("password")) < 1);
  CHECK(guessing_bits(secret("Passw0rd1")) < 15);
  CHECK(guessing_bits(secret("qwertzuiop")) < 30);
  CHECK(guessing_bits(secret("aaaaaaaaaaaaaaaaaaaaaaaa")) < 20);
  CHECK(guessing_bits(secret("k7Xq-9mTe-93Lr")) > 60);
}

TEST_CASE("weak passwords are refused with what they would stand, strong ones taken",
          "[strength]") {
  CHECK_NOTHROW(check_strength("L", make_password(), {}));
  CHECK_NOTHROW(check_strength("L", secret("moss kettle orbit plank fjord velvet"), {}));
  const auto weak = GENERATE(as<std::string>(), "1", "sommer2024", "Passw0rd1", "letmein99");
  CHECK_THROWS_WITH(check_strength("L", secret(weak), {}),
                    Catch::Contains("L: too easy to guess") &&
                        Catch::Contains("9 million guesses a second") &&
                        Catch::Contains("--weak-password"));
}

TEST_CASE("the wrapped key keeps a costly verifier from costing anything", "[strength]") {
  const auto classic = guesses_per_second({});
  CHECK(classic == Approx(8.87e6));
  CHECK(guesses_per_second(with_hash("argon2id", "2,102400,8")) == Approx(classic));
  CHECK(guesses_per_second(with_hash("pbkdf2_sha256", "100000")) == Approx(classic));
  // And a cheap one is what is guessed at.
  CHECK(guesses_per_second(with_hash("pbkdf2_sha256", "10")) == Approx(100 * classic));
}

TEST_CASE("times are told in words", "[strength]") {
  const auto text = [](double seconds) {
    return strength_text({.guesses_per_second = 8.87e6, .seconds = seconds});
  };
  CHECK(text(0.3).ends_with("would stand for less than a second"));
  CHECK(text(1).ends_with("1 second"));
  CHECK(text(7300).ends_with("2 hours"));
  CHECK(text(3e15).ends_with("95 million years"));
  CHECK(text(1e30).ends_with("more than a thousand billion years"));
}

TEST_CASE("passwords made by chance differ, and can be read aloud", "[strength]") {
  std::set<std::string> made;
  for (int i = 0; i < 100; ++i) {
    const auto password = make_password();
    const std::string text(as_text(password.bytes()));
    CHECK(text.size() == 19);
    CHECK(text.find_first_not_of("abcdefghijkmnpqrstuvwxyz23456789-") == std::string::npos);
    made.insert(text);
  }
  CHECK(made.size() == 100);
}

}  // namespace
}  // namespace nacre
