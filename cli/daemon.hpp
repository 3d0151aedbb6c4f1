// SPDX-License-Identifier: Apache-2.0
//
// A piece of work that goes on in the background once it says that it is ready.
#pragma once

#include <functional>
#include <optional>

#include "cli/app.hpp"

namespace nacre {

using Ready = std::function<void()>;
using Work = std::function<Exit(const Io&, const Ready&)>;

// Runs `work` in a child, forked at once: nothing that dislikes fork() (threads, LMDB, curl, locked
// memory) may be in use yet.  Returns Exit::ok when the work calls Ready, and the child
// goes on in a session of its own, without the terminal.  What the work says and fails
// with before that comes out here, through `io`.  The child never returns; of the
// descriptors open here it keeps the standard ones and `kept`.
Exit run_in_background(const Work& work, std::optional<int> kept, const Io& io);

}  // namespace nacre
