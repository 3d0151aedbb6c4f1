// SPDX-License-Identifier: Apache-2.0
#include "cli/mounts.hpp"

#include <ostream>

#include "base/error.hpp"
#include "cli/folders.hpp"

namespace nacre {
namespace {

Exit exit_of(int status) noexcept {
  return status >= 0 && status <= 4 ? static_cast<Exit>(status) : Exit::failed;
}

}  // namespace

Exit ask_mount(const std::string& mountpoint, const ControlRequest& request,
               std::chrono::seconds timeout, const Io& io) {
  const auto path = absolute_mountpoint(mountpoint);
  ControlReply reply;
  try {
    reply = control_call(control_path(path), request, timeout);
  } catch (const Error& e) {
    throw Error(e.code(), mountpoint + ": " + e.what());
  }
  const char* end = reply.text.empty() || reply.text.ends_with('\n') ? "" : "\n";
  if (reply.status == 0) {
    io.out << reply.text << end;
  } else {
    io.err << "nacre: " << reply.text << end;
  }
  return exit_of(reply.status);
}

}  // namespace nacre
