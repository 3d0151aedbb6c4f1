// SPDX-License-Identifier: Apache-2.0
//
// The helper of a daemon in a sandbox: has fusermount3 do what one request asks for.
#pragma once

#include <filesystem>

namespace nacre {

// Answers the one request on this connection, of a process of the same user; the process ends where
// that takes too long.  Whoever breaks into the daemon can ask too, so only what a daemon needs
// is done: mounts of nacre, directly in `folder`.  Throws Error, when it has been told.
void serve_fusermount(int connection, const std::filesystem::path& folder);

}  // namespace nacre
