// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <filesystem>
#include <ostream>
#include <string>

#include "base/error.hpp"
#include "base/log.hpp"
#include "cli/commands.hpp"
#include "cli/folders.hpp"
#include "cli/mount_status.hpp"
#include "cli/progress.hpp"
#include "cli/source.hpp"
#include "fs/control.hpp"
#include "fs/filesystem.hpp"
#include "fs/mountpoint.hpp"

namespace nacre {
namespace {

namespace stdfs = std::filesystem;

constexpr std::chrono::hours longest{48};
constexpr int never = 24 * 3600 * 1000;  // milliseconds: long after this has ended

ControlRequest request_of(const stdfs::path& folder, bool json) {
  return {.words = {"rescue", folder.string(), json ? "json" : "text"}, .secret = std::nullopt};
}

bool answers(const stdfs::path& mountpoint) {
  try {
    return control_peer(control_path(mountpoint)) > 0;
  } catch (const Error& error) {
    if (error.code() != Errc::unreachable) throw;
    return false;
  }
}

bool is_within(const stdfs::path& path, const stdfs::path& folder) {
  const auto relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

std::uint64_t bytes_below(const stdfs::path& folder) {
  std::uint64_t sum = 0;
  for (const auto& entry : stdfs::recursive_directory_iterator(folder)) {
    std::error_code none;
    if (entry.is_regular_file(none)) sum += entry.file_size(none);
  }
  return sum;
}

// Only for who looks on: nothing keeps a rescue from its work.
template <class Ask>
MountStatus status_or_nothing(Ask ask) {
  try {
    return ask();
  } catch (const Error&) {
    return {};
  }
}

// Has it written, and shows how much of it there is.
template <class Work>
ControlReply written(const stdfs::path& folder, const MountStatus& status, const Io& io,
                     Work work) {
  const auto look = [&] { return Amount{bytes_below(folder), status.pending_bytes()}; };
  return with_progress(io.err, {.what = "rescue", .look = look}, work);
}

// Without a mount: its state is opened here.
ControlReply rescue_from_state(const RescueOptions& options, const stdfs::path& folder,
                               const Io& io) {
  const auto source = find_source(options.source, std::nullopt);
  const auto state_dir = state_dir_of(source, options.state_dir);
  const auto cache_dir = cache_dir_of(source, options.cache_dir, options.state_dir);
  if (!stdfs::exists(state_dir / "device.key"))
    throw Error(
        Errc::not_found,
        state_dir.string() + ": nothing was mounted with this state yet; nothing to rescue");
  auto remote = open_source(source, false);
  make_private_folder(cache_dir);
  MountPlan plan{.mountpoint = {},
                 .source = source.shown,
                 .cache_dir = cache_dir,
                 .state_dir = state_dir,
                 .device_key = device_key(state_dir),
                 .client = client_of(source),
                 .passwords = read_passwords(options.unlock, options.password, source.name),
                 .rescue_only = true,
                 .quiet_milliseconds = never};
  const auto fs = make_filesystem(std::move(plan), std::move(remote));
  const auto status = status_or_nothing([&] {
    return read_status(fs->control({.words = {"status", "json"}, .secret = std::nullopt}).text);
  });
  return written(folder, status, io, [&] { return fs->control(request_of(folder, options.json)); });
}

}  // namespace

Exit rescue(const RescueOptions& options, const Io& io) {
  std::error_code error;
  const auto folder = stdfs::weakly_canonical(stdfs::absolute(options.folder), error);
  if (error) throw Error(Errc::invalid, options.folder + ": " + error.message());
  ControlReply reply;
  const bool named =
      options.source.starts_with("dir:") || options.source.find("://") != std::string::npos;
  const auto mountpoint = named ? stdfs::path() : absolute_mountpoint(options.source);
  if (!named && answers(mountpoint)) {
    if (is_within(folder, mountpoint))
      throw UsageError("rescue: " + options.folder + ": lies in the mount; name one outside");
    if (!options.unlock.empty() || options.password.given())
      throw UsageError("rescue: a mount knows its passwords; give them to it with `nacre unlock`");
    const auto status =
        status_or_nothing([&] { return ask_status(mountpoint, std::chrono::seconds(10)); });
    reply = written(folder, status, io, [&] {
      return control_call(control_path(mountpoint), request_of(folder, options.json), longest);
    });
  } else if (!named && mounted_type(mountpoint) == "fuse.nacre") {
    throw Error(Errc::unreachable,
                options.source + ": its daemon does not answer; end it, and name the account");
  } else {
    log::set_level(log::Level::error);  // what matters is in the answer
    reply = rescue_from_state(options, folder, io);
  }
  if (reply.status != 0) {
    io.err << "nacre: " << reply.text << '\n';
    return static_cast<Exit>(reply.status);
  }
  const auto line = reply.text.find('\n');
  io.out << reply.text.substr(line + 1);
  return reply.text.substr(0, line) == "complete" ? Exit::ok : Exit::failed;
}

}  // namespace nacre
