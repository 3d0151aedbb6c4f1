// SPDX-License-Identifier: Apache-2.0
//
// The accounts that were logged in to: <config>/accounts/ALIAS, a 0600 text
// file of `key = value` lines.  Its token is in the session's keyring, or, where there was none
// at login, in ALIAS.token beside it, 0600, as it is.
// Errors: Error{not_found, exists, invalid, corrupt}, with what to do.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "crypto/seal.hpp"
#include "crypto/secret.hpp"
#include "fs/known_keys.hpp"
#include "remote/remote.hpp"
#include "remote/seafile_remote.hpp"

namespace nacre {

struct Account {
  std::string alias;
  ServerAddress server;
  std::string user;
  ObjectId client;  // this machine, to that account
  bool token_in_keyring = false;
};

std::vector<Account> accounts();  // by alias
std::optional<Account> find_account(const std::string& alias);

// `name` is an alias or a URL; empty: the only account there is.
Account choose_account(const std::string& name);

// Puts the token into the keyring where there is one; returns the account as it is then.
Account save_account(Account account, const Secret& token);
Secret load_token(const Account& account);  // Error{denied}: not logged in
bool logged_in(const Account& account);     // there is a token here, whatever the server says
void forget_account(const Account& account);
// With what is remembered of its libraries' passwords.
bool forget_in_keyring(const std::string& alias);
std::filesystem::path token_file(const std::string& alias);

// "https://host[:port][/path]" without a slash at the end; https where no scheme is given.
std::string normal_url(std::string_view given);
std::string url_host(std::string_view url);

// How an account without a name is called: its host, with the user where that one is taken.
std::string new_alias(const std::string& url, const std::string& user);
void check_alias(const std::string& alias);

std::string host_name();
ClientIdentity identity_of(const Account& account);
std::unique_ptr<Remote> open_account(const Account& account, bool unverified_blocks);
LibraryInfo choose_library(Remote& remote, const std::string& name);  // or id

// The key that seals what is kept on this machine: 32 random bytes, made when first asked for, and
// kept by systemd (a credential), else by the session's keyring, else in a 0600 file under
// `state_dir`.
SealKey device_key(const std::filesystem::path& state_dir);
std::string device_key_place(const std::filesystem::path& state_dir);  // in words
void forget_device_key(const std::filesystem::path& state_dir);        // what the keyring has

// What the mounts of an account with this --state-dir (empty: the one they have by themselves) know
// of the keys of its libraries.
KnownKeys known_keys_of(const Account& account, const std::string& state_dir);

}  // namespace nacre
