// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "base/error.hpp"
#include "cli/accounts.hpp"
#include "cli/commands.hpp"

namespace nacre {

Exit logout(const LogoutOptions& options, const Io& io) {
  const auto account = choose_account(options.account);
  // Forgotten here in any case: a server that is away must not keep somebody logged in.
  std::string warning;
  try {
    log_out(account.server, load_token(account));
  } catch (const Error& e) {
    warning = e.what();
  }
  forget_account(account);
  io.out << "Logged out of " << account.alias << "; its token is deleted here.\n";
  if (!warning.empty())
    io.err << "nacre: " << account.alias << ": the server was not told: " << warning
           << "; remove this device on its web page\n";
  return Exit::ok;
}

}  // namespace nacre
