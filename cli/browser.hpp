// SPDX-License-Identifier: Apache-2.0
//
// A login that happens in a browser.
#pragma once

#include "cli/app.hpp"
#include "remote/seafile_remote.hpp"

namespace nacre {

// Prints the link, opens it where there is a desktop, and waits until somebody has logged in
// behind it.  Throws Error{interrupted} on Ctrl-C, Error{denied} after five minutes.
LoginResult log_in_by_browser(const ServerAddress& server, const ClientIdentity& client,
                              const Io& io);

}  // namespace nacre
