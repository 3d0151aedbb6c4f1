// SPDX-License-Identifier: Apache-2.0
//
// What a library's verifier of passwords costs to compute, as its parameters say.
#pragma once

#include <cstdint>
#include <string_view>

#include "crypto/library_key.hpp"

namespace nacre {

struct Argon2Cost {
  std::uint32_t time = 2, kib = 102400, lanes = 8;
};

// As Seafile reads them: what is missing or zero has the default.
std::uint32_t pbkdf2_rounds(std::string_view parameters);
Argon2Cost argon2_cost(std::string_view parameters);

// Rounds of PBKDF2-SHA256 that take as long as one check of a password, about.
double verifier_rounds(const Encryption& how);

// Passwords a second that a graphics card of today tries for who has what the server has.  The
// wrapped key tells a right one as well as the verifier does, whose cost can only add to nothing.
double guesses_per_second(const Encryption& how);

}  // namespace nacre
