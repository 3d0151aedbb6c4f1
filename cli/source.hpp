// SPDX-License-Identifier: Apache-2.0
//
// What is mounted, or rescued from: an account on a server, or a folder laid out as
// a server's storage; and where its cache and state are.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/accounts.hpp"
#include "cli/password.hpp"
#include "fs/mount.hpp"

namespace nacre {

struct Source {
  std::string shown;  // to mount(8) and df
  std::string name;   // of its folders for cache and state
  std::optional<Account> account;
  std::filesystem::path folder;
};

// `given`: an alias, a URL, dir:PATH, or nothing where there is one account.
Source find_source(const std::string& given, const std::optional<std::filesystem::path>& ca_file);

// Asks nobody yet.
std::unique_ptr<Remote> open_source(const Source& source, bool unverified_blocks);
ObjectId client_of(const Source& source);

// As given by an option, or where they are by themselves.
std::filesystem::path state_dir_of(const Source& source, const std::string& given);
std::filesystem::path cache_dir_of(const Source& source, const std::string& given,
                                   const std::string& given_state);

// For the libraries named by --unlock; else, where a password is given, for the only
// encrypted one there will be.  Where none is given, the keyring may know it.
std::vector<LibraryPassword> read_passwords(std::vector<std::string> unlock,
                                            const PasswordSource& source,
                                            const std::string& account);

}  // namespace nacre
