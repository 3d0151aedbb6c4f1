// SPDX-License-Identifier: Apache-2.0
//
// The password that a library is to get: typed twice, read, or made by chance and shown once.
#pragma once

#include <optional>
#include <string>

#include "cli/app.hpp"
#include "cli/commands.hpp"
#include "crypto/library_key.hpp"

namespace nacre {

// To descriptor `fd`, or to the terminal, never to standard output.
void show_password(const Secret& password, const std::optional<int>& fd, const std::string& what);

// The contradictions in it that need nobody to be asked; throws UsageError.
void check_source(const NewPasswordSource& source, const std::string& command);

// `given`: the one that was read already.  A weak one is refused with Error{invalid}, unless
// source.weak; how good it is is told on a terminal.
Secret new_password(const NewPasswordSource& source, std::optional<Secret> given,
                    const std::string& library, const Encryption& how, const Io& io);

}  // namespace nacre
