// SPDX-License-Identifier: Apache-2.0
//
// Talking to the daemon of a mount, and waiting for its end.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "cli/app.hpp"
#include "cli/progress.hpp"
#include "fs/control.hpp"

namespace nacre {

// Sends the request to the mount at `mountpoint`, prints the answer, and gives its exit status.
// Error{unreachable} where no mount answers.
Exit ask_mount(const std::string& mountpoint, const ControlRequest& request,
               std::chrono::seconds timeout, const Io& io, const LongWork& told = {});

// What the daemon of the mount at an absolute path answers; Error{refused} with its words where it
// does not carry it out.
std::string answer_of(const std::filesystem::path& mountpoint, std::vector<std::string> words,
                      std::chrono::seconds timeout, Errc refused = Errc::busy);

// A daemon's process, which its number does not tell once it has ended.
class DaemonProcess {
 public:
  explicit DaemonProcess(pid_t pid);
  [[nodiscard]] bool ended_within(std::chrono::seconds time) const;

 private:
  Fd fd_;
};

// A daemon whose mount was taken away goes on sending what is unsent, and has the state until then:
// the next one at this mountpoint, where nothing is mounted now, waits for it.
void wait_for_last_daemon(const std::filesystem::path& mountpoint);

}  // namespace nacre
