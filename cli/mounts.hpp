// SPDX-License-Identifier: Apache-2.0
//
// Talking to the daemon of a mount.
#pragma once

#include <chrono>
#include <string>

#include "cli/app.hpp"
#include "fs/control.hpp"

namespace nacre {

// Sends the request to the mount at `mountpoint`, prints the answer, and gives its exit status.
// Error{unreachable} where no mount answers.
Exit ask_mount(const std::string& mountpoint, const ControlRequest& request,
               std::chrono::seconds timeout, const Io& io);

}  // namespace nacre
