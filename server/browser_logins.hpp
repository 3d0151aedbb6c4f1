// SPDX-License-Identifier: Apache-2.0
//
// Logins that a browser does for a client, as Seafile's servers with single sign-on have them:
// here the page behind the link asks for user and password.  Any thread may call any member.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/guarded.hpp"

namespace nacre {

class BrowserLogins {
 public:
  struct Login {
    std::string user, token;  // empty: nobody has logged in yet
  };

  std::string begin();  // the number that is in the link
  [[nodiscard]] bool waits(const std::string& number) const;
  void finish(const std::string& number, Login login);
  // Nullopt where the number is none, or too old.  Who has logged in is told once.
  std::optional<Login> look(const std::string& number);

 private:
  struct Entry {
    Login login;
    std::chrono::steady_clock::time_point begun;
  };
  using Entries = std::map<std::string, Entry>;
  static void drop_old(Entries& entries);
  mutable Guarded<Entries> entries_;
};

}  // namespace nacre
