// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.hpp"
#include "cli/new_password.hpp"
#include "cli/password_strength.hpp"

namespace nacre {

Exit make_password(const MakePasswordOptions& options, const Io&) {
  show_password(make_password(), options.show_fd, "Password");
  return Exit::ok;
}

}  // namespace nacre
