// SPDX-License-Identifier: Apache-2.0
#include "fs/mount.hpp"

#include <unistd.h>

#include <iostream>
#include <optional>
#include <ostream>

#include "base/error.hpp"
#include "base/heap.hpp"
#include "base/log.hpp"
#include "cli/commands.hpp"
#include "cli/daemon.hpp"
#include "cli/desktop.hpp"
#include "cli/folders.hpp"
#include "cli/library_password.hpp"
#include "cli/mount_options.hpp"
#include "cli/mounts.hpp"
#include "cli/progress.hpp"
#include "cli/service.hpp"
#include "cli/sleep.hpp"
#include "cli/source.hpp"
#include "fs/control.hpp"
#include "fs/mountpoint.hpp"
#include "server/metrics_page.hpp"

namespace nacre {
namespace {

namespace stdfs = std::filesystem;

// Messages of the daemon; one older file is kept.
void start_log(const stdfs::path& state_dir) {
  constexpr std::uintmax_t enough = std::uintmax_t{4} << 20U;
  const auto folder = state_dir / "log";
  make_private_folder(folder);
  const auto file = folder / "nacre.log";
  std::error_code none;
  if (const auto size = stdfs::file_size(file, none); !none && size > enough)
    stdfs::rename(file, folder / "nacre.log.1", none);
  log::set_file(file);
}

// They were right, as it is mounted; that they cannot be remembered does not end it.
void remember(const stdfs::path& mountpoint, const std::vector<LibraryPassword>& given) try {
  for (const auto& [library, password] : given)
    remember_password(library_of_mount(mountpoint, library), password);
} catch (const Error& error) {
  log::warning(error.what());
}

Exit serve(const MountOptions& options, const Tuning& tuning, const Ready& ready) {
  heap::keep_large_buffers();
  auto source = find_source(options.places.size() == 2 ? options.places[0] : "", tuning.ca_file);
  if (source.account) {
    source.account->server.download_limit = tuning.download_limit;
    source.account->server.upload_limit = tuning.upload_limit;
  }
  const auto state_dir = state_dir_of(source, options.state_dir);
  const auto cache_dir = cache_dir_of(source, options.cache_dir, options.state_dir);
  const auto mountpoint = absolute_mountpoint(options.places.back());
  check_mountpoint(mountpoint);  // before a password is asked for
  wait_for_last_daemon(mountpoint);
  make_private_folder(state_dir);
  make_private_folder(cache_dir);

  auto remote = open_source(source, tuning.unverified_blocks);
  if (options.remember_password) check_can_remember();
  auto passwords = read_passwords(options.unlock, options.password, source.name);
  std::vector<LibraryPassword> to_remember;
  for (const auto& each : passwords)
    if (options.remember_password && !each.library.empty())
      to_remember.push_back({.library = each.library, .password = each.password.clone()});
  std::optional<MetricsPage> metrics;
  if (tuning.metrics)
    metrics.emplace(tuning.metrics->address, tuning.metrics->port, [mountpoint] {
      return answer_of(mountpoint, {"status", "metrics"}, std::chrono::seconds(10));
    });
  if (!options.foreground) {
    if (options.password.fd > STDERR_FILENO) ::close(*options.password.fd);
    start_log(state_dir);
  }
  std::optional<ShowWhile> waiting;  // for the server; also in the background's child
  waiting.emplace(std::cerr, LongWork{.what = "mount"});
  std::optional<Desktop> desktop;
  std::optional<SleepGuard> sleep_guard;
  MountPlan plan{.mountpoint = mountpoint,
                 .source = source.shown,
                 .cache_dir = cache_dir,
                 .state_dir = state_dir,
                 .device_key = device_key(state_dir),
                 .device_key_place = device_key_place(state_dir),
                 .client = client_of(source),
                 .libraries = options.libraries,
                 .passwords = std::move(passwords),
                 .read_only = tuning.read_only || !remote->writable(),
                 .shown = tuning.shown,
                 .snapshots = tuning.snapshots,
                 .shield = tuning.shield,
                 .fuse_options = tuning.fuse,
                 .ready = [&] {
                   waiting.reset();
                   remember(mountpoint, std::exchange(to_remember, {}));
                   log::info("mounted " + source.shown + " on " + mountpoint.string());
                   ready();
                   if (tuning.notify) desktop.emplace(mountpoint);
                   sleep_guard.emplace(mountpoint,
                                       tuning.lock_on_sleep ? OnSleep::lock : OnSleep::keep_keys);
                 }};
  if (tuning.cache_limit) plan.cache_limit = *tuning.cache_limit;
  if (tuning.write_buffer) plan.write_buffer = *tuning.write_buffer;
  plan.fsync_remote = tuning.fsync_remote;
  if (tuning.timeout) plan.timeout_seconds = *tuning.timeout;
  if (tuning.open_limit) plan.open_limit_seconds = *tuning.open_limit;
  if (tuning.max_deletions) plan.max_deletions = *tuning.max_deletions;
  if (tuning.poll) plan.poll_seconds = *tuning.poll;
  if (tuning.quiet) plan.quiet_milliseconds = *tuning.quiet;
  serve_mount(std::move(plan), std::move(remote));
  log::info("unmounted " + mountpoint.string());
  return Exit::ok;
}

}  // namespace

Exit mount(const MountOptions& given, const Io& io) {
  auto options = given;
  // A mistake in it is told before anything is begun.
  const auto tuning = take_mount_options(options, read_config(config_file()));
  if (options.foreground) {
    const auto mountpoint = absolute_mountpoint(options.places.back());  // before it is one
    std::optional<Watchdog> watchdog;
    return serve(options, tuning, [&] {
      io.out << "nacre: mounted; Ctrl-C ends it" << std::endl;
      tell_manager("READY=1\nSTATUS=Mounted on " + mountpoint.string());
      watchdog.emplace(mountpoint);
    });
  }
  const auto work = [&](const Io&, const Ready& ready) { return serve(options, tuning, ready); };
  return run_in_background(work, options.password.fd, io);
}

}  // namespace nacre
