// SPDX-License-Identifier: Apache-2.0
#include "base/error.hpp"
#include "cli/commands.hpp"

namespace nacre {

Exit serve(const ServeOptions& options, const Io&) {
  if (options.add_user.empty() == options.listen.empty())
    throw UsageError("serve: give --listen ADDR:PORT, or --add-user NAME");
  throw Error(Errc::unsupported, "serve: not in this build; take a later one");
}

}  // namespace nacre
