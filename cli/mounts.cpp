// SPDX-License-Identifier: Apache-2.0
#include "cli/mounts.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ostream>
#include <sstream>

#include "base/error.hpp"
#include "base/log.hpp"
#include "cli/folders.hpp"

namespace nacre {
namespace {

Exit exit_of(int status) noexcept {
  return status >= 0 && status <= 4 ? static_cast<Exit>(status) : Exit::failed;
}

// How far the mount is with what this process waits for.
Amount reached_at(const std::filesystem::path& mountpoint) {
  std::istringstream said(answer_of(mountpoint, {"progress"}, std::chrono::seconds(5)));
  Amount amount;
  said >> amount.done >> amount.total >> amount.unit;
  return amount;
}

}  // namespace

Exit ask_mount(const std::string& mountpoint, const ControlRequest& request,
               std::chrono::seconds timeout, const Io& io, const LongWork& told) {
  const auto path = absolute_mountpoint(mountpoint);
  ControlReply reply;
  auto shown = told;
  if (!shown.look) shown.look = [&] { return reached_at(path); };
  try {
    reply = with_progress(io.err, shown,
                          [&] { return control_call(control_path(path), request, timeout); });
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

std::string answer_of(const std::filesystem::path& mountpoint, std::vector<std::string> words,
                      std::chrono::seconds timeout, Errc refused) {
  auto reply = control_call(control_path(mountpoint),
                            {.words = std::move(words), .secret = std::nullopt}, timeout);
  if (reply.status != 0) throw Error(refused, reply.text);
  return std::move(reply.text);
}

DaemonProcess::DaemonProcess(pid_t pid)
    : fd_(pid > 0 ? static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)) : -1) {}

bool DaemonProcess::ended_within(std::chrono::seconds time) const {
  pollfd poller = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
  const auto milliseconds = std::chrono::milliseconds(time).count();
  return fd_.get() < 0 || ::poll(&poller, 1, static_cast<int>(milliseconds)) > 0;
}

void wait_for_last_daemon(const std::filesystem::path& mountpoint) {
  try {
    const DaemonProcess daemon(control_peer(control_path(mountpoint)));
    if (daemon.ended_within(std::chrono::seconds(0))) return;
    log::info(mountpoint.string() + ": waiting for the last daemon here, which is still sending");
    if (!daemon.ended_within(std::chrono::seconds(60)))
      throw Error(Errc::busy,
                  mountpoint.string() + ": the last daemon here is still at work; see its log");
  } catch (const Error& e) {
    if (e.code() != Errc::unreachable) throw;  // unreachable: there is none
  }
}

}  // namespace nacre
