// SPDX-License-Identifier: Apache-2.0
#include "crypto/verifier.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <vector>

namespace nacre {
namespace {

constexpr std::uint32_t classic_rounds = 1000;
// hashcat's PBKDF2-HMAC-SHA256 on a GeForce RTX 4090: 8.87 million times 999 rounds a second.
constexpr double card_rounds = 8.87e9;
constexpr double rounds_per_kib = 4;  // of Argon2: about as much work, and memory besides

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::uint32_t pbkdf2_rounds(std::string_view parameters) {
  const auto rounds = number(parameters).value_or(classic_rounds);
  return rounds == 0 ? classic_rounds : rounds;
}

Argon2Cost argon2_cost(std::string_view parameters) {
  Argon2Cost cost;
  std::vector<std::optional<std::uint32_t>> fields;
  for (std::size_t at = 0; at <= parameters.size();) {
    const auto comma = std::min(parameters.find(',', at), parameters.size());
    fields.push_back(number(parameters.substr(at, comma - at)));
    at = comma + 1;
  }
  if (fields.size() != 3) return cost;
  const std::array<std::uint32_t*, 3> parts = {&cost.time, &cost.kib, &cost.lanes};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (fields[i].value_or(0) != 0) *parts[i] = *fields[i];
  }
  return cost;
}

double verifier_rounds(const Encryption& how) {
  if (how.pwd_hash.empty()) return classic_rounds;
  if (how.pwd_hash_algo != "argon2id") return pbkdf2_rounds(how.pwd_hash_params);
  const auto cost = argon2_cost(how.pwd_hash_params);
  return rounds_per_kib * cost.time * cost.kib;
}

double guesses_per_second(const Encryption& how) {
  return card_rounds / std::min<double>(verifier_rounds(how), classic_rounds);
}

}  // namespace nacre
