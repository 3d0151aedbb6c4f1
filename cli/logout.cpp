// SPDX-License-Identifier: Apache-2.0
#include "cli/logout.hpp"

#include <optional>
#include <ostream>

#include "base/error.hpp"
#include "cli/blocked_signals.hpp"
#include "cli/commands.hpp"
#include "cli/if_interrupted.hpp"
#include "cli/progress.hpp"

namespace nacre {
namespace {

constexpr const char* remedy = "; remove this device on its web page";

void say_not_told(const Account& account, const Error& error, const Io& io) {
  io.err << "nacre: " << account.alias << ": the server was not told: " << error.what() << remedy
         << '\n';
}

}  // namespace

void tell_server(const Account& account, const Secret& token, const Io& io) {
  const IfInterrupted said(account.alias + ": the server may not know of it" + remedy);
  try {
    with_progress(io.err, {.what = "logout"}, [&] { log_out(account.server, token); });
  } catch (const Error& error) {
    say_not_told(account, error, io);
  }
}

Exit logout(const LogoutOptions& options, const Io& io) {
  const auto account = choose_account(options.account);
  std::optional<Secret> token;
  try {
    token = load_token(account);
  } catch (const Error& error) {
    say_not_told(account, error, io);
  }
  {
    const BlockedSignals whole;  // it is done to the end
    forget_account(account);
  }
  io.out << "Logged out of " << account.alias << "; its token is deleted here." << std::endl;
  if (token) tell_server(account, *token, io);
  return Exit::ok;
}

}  // namespace nacre
