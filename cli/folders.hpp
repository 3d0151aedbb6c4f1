// SPDX-License-Identifier: Apache-2.0
//
// The user's folders by the XDG rules, and files in them that nobody else may
// read.  Errors are Error{invalid, full, denied}, naming the path.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "crypto/secret.hpp"

namespace nacre {

// $XDG_CONFIG_HOME/nacre and so on, with ~/.config, ~/.local/state, ~/.cache where unset.
std::filesystem::path config_folder();
std::filesystem::path state_folder();
std::filesystem::path cache_folder();

void make_private_folder(const std::filesystem::path& path);  // 0700, with its parents

// Whole or not at all: a new 0600 file takes the old one's place.
void write_private_file(const std::filesystem::path& path, ByteView bytes);

// Nullopt where there is no such file.  At most 64 KiB; a secret's never leaves its memory.
std::optional<std::string> read_text_file(const std::filesystem::path& path);
std::optional<Secret> read_secret_file(const std::filesystem::path& path);

// An absolute path without links, `.` and `..`, also where its last name is a mount: that one is
// not touched, as a mount whose daemon has died would not answer.
std::filesystem::path absolute_mountpoint(const std::string& given);

}  // namespace nacre
