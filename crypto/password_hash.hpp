// SPDX-License-Identifier: Apache-2.0
//
// How `nacre serve` remembers passwords: Argon2id, as a text that carries its
// own parameters and salt.
#pragma once

#include <string>

#include "crypto/secret.hpp"

namespace nacre {

std::string hash_password(const Secret& password);
bool verify_password(const std::string& hash, const Secret& password);

}  // namespace nacre
