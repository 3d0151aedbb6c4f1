// SPDX-License-Identifier: Apache-2.0
//
// Passwords of libraries that the keyring remembers, as the person asked for.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "crypto/secret.hpp"

namespace nacre {

struct RememberedLibrary {
  std::string account, id, name;
};

// What a running mount says of a library of its; of its account only, where `library` is empty.
// `mountpoint` as absolute_mountpoint() gives it.
RememberedLibrary library_of_mount(const std::filesystem::path& mountpoint,
                                   const std::string& library);

// Throws Error{unsupported} where there is no keyring.
void check_can_remember();
void remember_password(const RememberedLibrary& library, const Secret& password);
// By its id or its name; nullopt where it is not remembered.
std::optional<Secret> remembered_password(const RememberedLibrary& library);
void forget_password(const RememberedLibrary& library);  // without an id: of all of the account

}  // namespace nacre
