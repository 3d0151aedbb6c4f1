// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <ostream>

#include "base/error.hpp"
#include "cli/accounts.hpp"
#include "cli/blocked_signals.hpp"
#include "cli/browser.hpp"
#include "cli/commands.hpp"
#include "cli/keyring.hpp"
#include "cli/progress.hpp"
#include "crypto/random.hpp"

namespace nacre {
namespace {

// The machine's id with this account, where it has one: a server lists devices by it.
ObjectId client_id(const LoginOptions& options, const std::string& url) {
  for (const auto& account : accounts()) {
    const bool same = account.server.url == url && account.user == options.user;
    if (same || account.alias == options.account) return account.client;
  }
  return random_id();
}

}  // namespace

Exit login(const LoginOptions& options, const Io& io) {
  if (options.token_fd && options.password.given())
    throw UsageError("login: give a password or a token, not both");

  if (options.browser && (options.token_fd || options.password.given() || !options.user.empty()))
    throw UsageError("login: --browser asks for user and password itself");
  if (!options.browser && options.user.empty())
    throw UsageError("login: --user is required, or --browser; see `nacre login --help`");

  Account account;
  account.server.url = normal_url(options.url);
  account.server.insecure_http = options.insecure_http;
  if (!options.ca_file.empty()) {
    account.server.ca_file = std::filesystem::absolute(options.ca_file);
    if (!std::filesystem::is_regular_file(*account.server.ca_file))
      throw Error(Errc::not_found, options.ca_file + ": no such file; check --ca-file");
  }
  account.user = options.user;
  account.client = client_id(options, account.server.url);
  if (!options.account.empty()) {
    check_alias(options.account);
    const auto there = find_account(options.account);
    if (there && there->server.url != account.server.url)
      throw Error(Errc::exists, options.account + ": is an account on " + there->server.url +
                                    "; choose another name, or `nacre logout` it first");
  }

  LoginRequest request;
  request.server = account.server;
  request.client = identity_of(account);
  request.user = options.user;
  request.one_time_code = options.one_time_code;
  std::optional<Secret> password, token;
  if (options.token_fd) {
    token = read_secret_line(*options.token_fd, "token");
    request.token = &*token;
  } else if (options.browser) {
    token = log_in_by_browser(account.server, request.client, io).token;
    request.token = &*token;
  } else {
    password = read_one_secret(options.password, "Password of " + options.user);
    request.password = &*password;
  }
  const auto result = with_progress(io.err, {.what = "login"}, [&] { return log_in(request); });
  const BlockedSignals whole;  // from here on it is done to the end

  if (!result.user.empty()) account.user = result.user;
  account.alias =
      options.account.empty() ? new_alias(account.server.url, account.user) : options.account;
  account = save_account(std::move(account), result.token);
  const auto why = keyring::why_not();
  io.out << "Logged in to " << account.server.url << " as " << account.user << ": account "
         << account.alias << ".\n"
         << (account.token_in_keyring
                 ? std::string("Its token is in the keyring of your session.")
                 : "Its token is in " + token_file(account.alias).string() +
                       ", for you only to read; there is no keyring for it (" + why + ").")
         << "\nMount it with: nacre mount " << account.alias << " FOLDER\n";
  return Exit::ok;
}

}  // namespace nacre
