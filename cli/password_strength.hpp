// SPDX-License-Identifier: Apache-2.0
//
// How long a library's password would stand against somebody who has what the server has, and
// passwords made by chance.
#pragma once

#include <string>

#include "crypto/library_key.hpp"
#include "crypto/secret.hpp"

namespace nacre {

// Guesses until the password is found, on the average, as a power of two.
double guessing_bits(const Secret& password);

struct Strength {
  double guesses_per_second = 0;  // on one graphics card
  double seconds = 0;             // until it is found, on the average

  [[nodiscard]] bool weak() const noexcept;
};
Strength strength_of(const Secret& password, const Encryption& how);

// "about 9 million guesses a second on one graphics card; this password would stand for 3 days"
std::string strength_text(const Strength& strength);

// Throws Error{invalid} for a weak one, with what it would stand and what to do.  `what` is the
// library's name.
void check_strength(const std::string& what, const Secret& password, const Encryption& how);

// 80 bits in four groups of letters and digits that cannot be taken for each other.
Secret make_password();

}  // namespace nacre
