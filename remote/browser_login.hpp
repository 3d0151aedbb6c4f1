// SPDX-License-Identifier: Apache-2.0
//
// Logging in with a browser, as servers with single sign-on want it: the server gives a link, the
// person logs in behind it, and the server is asked until it tells the token.
#pragma once

#include <optional>
#include <string>

#include "crypto/secret.hpp"
#include "remote/seafile_remote.hpp"

namespace nacre {

class BrowserLogin {
 public:
  // Throws Error{unsupported} where the server has no such login.
  BrowserLogin(const ServerAddress& server, const ClientIdentity& client);

  [[nodiscard]] const std::string& link() const noexcept { return link_; }

  // Nullopt as long as nobody has logged in.  Throws Error{denied} when that has failed.
  [[nodiscard]] std::optional<LoginResult> look() const;

 private:
  ServerAddress server_;
  std::string link_;
  Secret number_;  // who has it gets the token
};

}  // namespace nacre
