// SPDX-License-Identifier: Apache-2.0
//
// The accounts that were logged in to: <config>/accounts/ALIAS, a 0600 text
// file of `key = value` lines, and ALIAS.token beside it, 0600, with the token as it is.
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
#include "remote/remote.hpp"
#include "remote/seafile_remote.hpp"

namespace nacre {

struct Account {
  std::string alias;
  ServerAddress server;
  std::string user;
  ObjectId client;  // this machine, to that account
};

std::vector<Account> accounts();  // by alias
std::optional<Account> find_account(const std::string& alias);

// `name` is an alias or a URL; empty: the only account there is.
Account choose_account(const std::string& name);

void save_account(const Account& account, const Secret& token);
Secret load_token(const Account& account);  // Error{denied}: not logged in
bool logged_in(const Account& account);     // there is a token here, whatever the server says
void forget_account(const Account& account);

// "https://host[:port][/path]" without a slash at the end; https where no scheme is given.
std::string normal_url(std::string_view given);
std::string url_host(std::string_view url);

// How an account without a name is called: its host, with the user where that one is taken.
std::string new_alias(const std::string& url, const std::string& user);
void check_alias(const std::string& alias);

std::string host_name();
ClientIdentity identity_of(const Account& account);
std::unique_ptr<Remote> open_account(const Account& account, bool unverified_blocks);

// The key that seals what is kept on this machine: 32 random bytes in a 0600 file under
// `state_dir`, made when first asked for.
SealKey device_key(const std::filesystem::path& state_dir);

}  // namespace nacre
