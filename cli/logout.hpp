// SPDX-License-Identifier: Apache-2.0
//
// Telling a server that a token is none any more.
#pragma once

#include "cli/accounts.hpp"
#include "cli/app.hpp"

namespace nacre {

// After all of it is gone here: that a server is away, or that nobody waits for it, must not keep
// somebody logged in.  Says so where the server was not told.
void tell_server(const Account& account, const Secret& token, const Io& io);

}  // namespace nacre
