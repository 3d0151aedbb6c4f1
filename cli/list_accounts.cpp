// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iomanip>
#include <ostream>

#include "base/json.hpp"
#include "cli/accounts.hpp"
#include "cli/commands.hpp"
#include "fs/shown_text.hpp"

namespace nacre {

Exit list_accounts(const AccountsOptions& options, const Io& io) {
  const auto all = accounts();
  if (options.json) {
    JsonWriter json;
    json.array();
    for (const auto& account : all)
      json.object()
          .key("alias")
          .value(account.alias)
          .key("url")
          .value(account.server.url)
          .key("user")
          .value(account.user)
          .key("logged_in")
          .value(logged_in(account))
          .key("token_in")
          .value(account.token_in_keyring ? "keyring" : "file")
          .end();
    io.out << std::move(json.end()).take() << '\n';
    return Exit::ok;
  }
  std::size_t widest = 0;
  for (const auto& account : all) widest = std::max(widest, account.alias.size());
  for (const auto& account : all)
    io.out << std::left << std::setw(static_cast<int>(widest)) << account.alias << "  "
           << (logged_in(account) ? "logged in " : "logged out") << "  "
           << (account.token_in_keyring ? "keyring" : "file   ") << "  " << account.server.url
           << "  " << printable(account.user) << '\n';
  if (all.empty()) io.err << "nacre: no account yet; log in with `nacre login`\n";
  return Exit::ok;
}

}  // namespace nacre
