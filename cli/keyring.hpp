// SPDX-License-Identifier: Apache-2.0
//
// The keyring of the person's session: a Secret Service (org.freedesktop.secrets), by libsecret.
// keyring.cpp is the only file that includes it.  Nobody is ever prompted: a keyring that is
// locked is one that is not there.  Call after the last fork().
#pragma once

#include <optional>
#include <string>

#include "crypto/secret.hpp"

namespace nacre::keyring {

struct Item {
  const char* what = "";  // "token", "device key", "library password"
  std::string account;    // its alias, or what the folders of a dir: source are called
  std::string of;         // a library's id, a state's folder
  std::string name;       // of the library
};

// Empty: it can be used.  Else why not: "no session bus".
std::string why_not();

// False where there is none to store it in.  One that was there is replaced.
bool store(const Item& item, const std::string& label, const Secret& secret);

// Empty members of `item` are for any.
std::optional<Secret> find(const Item& item);
bool erase(const Item& item);  // all of them; whether there were any

}  // namespace nacre::keyring
