// SPDX-License-Identifier: Apache-2.0
#include "cli/password_strength.hpp"

#include <zxcvbn.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "base/error.hpp"
#include "crypto/verifier.hpp"

namespace nacre {
namespace {

constexpr double year = 365.25 * 86400;
constexpr double long_enough = 10 * year;  // on one card; with a hundred of them five weeks

struct Unit {
  double seconds;
  const char* one;
  const char* many;
};

constexpr std::array<Unit, 5> units = {Unit{year, "year", "years"}, Unit{86400, "day", "days"},
                                       Unit{3600, "hour", "hours"}, Unit{60, "minute", "minutes"},
                                       Unit{1, "second", "seconds"}};

std::string rounded(double number) {
  if (number < 1e6) return std::to_string(static_cast<long>(number));
  if (number < 1e9) return std::to_string(std::llround(number / 1e6)) + " million";
  if (number < 1e12) return std::to_string(std::llround(number / 1e9)) + " billion";
  return "more than a thousand billion";
}

std::string time_text(double seconds) {
  if (seconds < 1) return "less than a second";
  const auto& unit =
      *std::ranges::find_if(units, [&](const Unit& each) { return seconds >= each.seconds; });
  const auto count = seconds / unit.seconds;
  return rounded(count) + " " + (count < 2 ? unit.one : unit.many);
}

}  // namespace

double guessing_bits(const Secret& password) {
  Secret text(password.bytes().size() + 1);  // ends with a zero
  std::ranges::copy(password.bytes(), text.bytes().begin());
  text.bytes().back() = 0;
  return ZxcvbnMatch(reinterpret_cast<const char*>(text.bytes().data()), nullptr, nullptr);
}

bool Strength::weak() const noexcept { return seconds < long_enough; }

Strength strength_of(const Secret& password, const Encryption& how) {
  const auto rate = guesses_per_second(how);
  return {.guesses_per_second = rate, .seconds = std::exp2(guessing_bits(password) - 1) / rate};
}

std::string strength_text(const Strength& strength) {
  return "about " + rounded(strength.guesses_per_second) +
         " guesses a second on one graphics card; this password would stand for " +
         time_text(strength.seconds);
}

void check_strength(const std::string& what, const Secret& password, const Encryption& how) {
  const auto strength = strength_of(password, how);
  if (!strength.weak()) return;
  throw Error(Errc::invalid,
              what + ": too easy to guess: who has what the server has can make " +
                  strength_text(strength) +
                  "; take a longer one, have one made with --generate-password, or insist with "
                  "--weak-password");
}

Secret make_password() {
  constexpr std::string_view letters = "abcdefghijkmnpqrstuvwxyz23456789";  // without l, o, 0, 1
  static_assert(letters.size() == 32);
  constexpr std::size_t groups = 4, group = 4;
  const auto random = Secret::random(groups * group);
  Secret password(groups * group + groups - 1);
  auto out = password.bytes().begin();
  for (std::size_t i = 0; i < groups * group; ++i) {
    if (i > 0 && i % group == 0) *out++ = '-';
    *out++ = static_cast<std::uint8_t>(letters[random.bytes()[i] % letters.size()]);
  }
  return password;
}

}  // namespace nacre
