// SPDX-License-Identifier: Apache-2.0
#include <ostream>

#include "cli/commands.hpp"
#include "cli/folders.hpp"
#include "cli/keyring.hpp"
#include "cli/library_password.hpp"
#include "cli/mounts.hpp"

namespace nacre {

Exit unlock(const UnlockOptions& options, const Io& io) {
  ControlRequest request{.words = {"unlock", options.library}, .secret = std::nullopt};
  if (options.accept_new_key) request.words.emplace_back("accept-new-key");
  if (options.remember_password) check_can_remember();
  const auto ask = [&](const Secret& password) {
    request.secret = password.clone();
    // The daemon may have to ask the server for the library's head.
    return ask_mount(options.mountpoint, request, std::chrono::minutes(2), io, {.what = "unlock"});
  };
  const bool may_be_known =
      !options.password.given() && !options.remember_password && !options.accept_new_key;
  if (may_be_known && keyring::why_not().empty()) {
    const auto library = library_of_mount(absolute_mountpoint(options.mountpoint), options.library);
    if (const auto known = remembered_password(library)) {
      const auto done = ask(*known);
      if (done == Exit::denied)
        io.err << "nacre: that was the password that the keyring has; `nacre lock --forget` takes "
                  "it out\n";
      return done;
    }
  }
  const auto password = read_one_secret(options.password, "Password of " + options.library);
  const auto done = ask(password);
  if (done == Exit::ok && options.remember_password)
    remember_password(library_of_mount(absolute_mountpoint(options.mountpoint), options.library),
                      password);
  return done;
}

}  // namespace nacre
