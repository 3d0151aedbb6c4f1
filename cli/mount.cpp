// SPDX-License-Identifier: Apache-2.0
#include "fs/mount.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <ostream>
#include <string_view>

#include "base/error.hpp"
#include "base/log.hpp"
#include "cli/commands.hpp"
#include "cli/daemon.hpp"
#include "cli/folders.hpp"
#include "cli/source.hpp"
#include "fs/mountpoint.hpp"

namespace nacre {
namespace {

namespace stdfs = std::filesystem;

// The -o options, understood.
struct Tuning {
  std::vector<std::string> fuse;
  bool read_only = false, unverified_blocks = false;
  std::optional<stdfs::path> ca_file;
  bool fsync_remote = false;
  std::optional<std::uint64_t> cache_limit, write_buffer;  // bytes
  std::optional<int> poll, timeout, open_limit;            // seconds
  std::optional<int> quiet;                                // milliseconds
};

std::uint64_t number(std::string_view option, std::string_view text, std::uint64_t limit) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0 || value > limit)
    throw UsageError("mount: -o " + std::string(option) + "=" + std::string(text) +
                     ": not a number that can be");
  return value;
}

// "500M", "20G", or plain bytes.
std::uint64_t bytes(std::string_view option, std::string_view text) {
  constexpr std::string_view units = "KMGT";
  unsigned shift = 0;
  const auto unit = text.empty() ? std::string_view::npos : units.find(text.back());
  if (unit != std::string_view::npos) {
    shift = 10 * (static_cast<unsigned>(unit) + 1);
    text.remove_suffix(1);
  }
  return number(option, text, std::uint64_t{1} << (50 - shift)) << shift;
}

void apply(Tuning& tuning, std::string_view option) {
  const auto equals = option.find('=');
  const auto key = option.substr(0, equals);
  const auto value = equals == std::string_view::npos ? "" : option.substr(equals + 1);
  const bool has_value = equals != std::string_view::npos;
  if (!has_value && (key == "allow_other" || key == "default_permissions")) {
    tuning.fuse.emplace_back(key);
  } else if (!has_value && (key == "ro" || key == "rw")) {
    tuning.read_only = key == "ro";
  } else if (!has_value && key == "unverified-blocks") {
    tuning.unverified_blocks = true;
  } else if (has_value && key == "ca-file") {
    tuning.ca_file = stdfs::absolute(value);
  } else if (has_value && key == "cache-limit") {
    tuning.cache_limit = bytes(key, value);
  } else if (has_value && key == "write-buffer") {
    tuning.write_buffer = bytes(key, value);
  } else if (has_value && key == "fsync") {
    if (value != "local" && value != "remote")
      throw UsageError("mount: -o fsync=" + std::string(value) + ": neither local nor remote");
    tuning.fsync_remote = value == "remote";
  } else if (has_value && key == "open-limit") {
    tuning.open_limit = static_cast<int>(number(key, value, 24UL * 3600));
  } else if (has_value && key == "timeout") {
    tuning.timeout = static_cast<int>(number(key, value, 24UL * 3600));
  } else if (has_value && key == "poll") {
    tuning.poll = static_cast<int>(number(key, value, 24UL * 3600));
  } else if (has_value && key == "quiet") {
    tuning.quiet = static_cast<int>(number(key, value, 3600UL * 1000));
  } else {
    throw UsageError("mount: -o " + std::string(option) +
                     ": unknown, or its value is missing; see nacre(1)");
  }
}

Tuning tuning_of(const MountOptions& options) {
  Tuning tuning;
  for (std::string_view list : options.options) {
    while (!list.empty()) {
      const auto comma = std::min(list.find(','), list.size());
      if (comma > 0) apply(tuning, list.substr(0, comma));
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
  }
  if (options.read_only) tuning.read_only = true;
  if (!options.fsync.empty()) tuning.fsync_remote = options.fsync == "remote";
  return tuning;
}

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

Exit serve(const MountOptions& options, const Tuning& tuning, const Ready& ready) {
  const auto source =
      find_source(options.places.size() == 2 ? options.places[0] : "", tuning.ca_file);
  const auto state_dir = state_dir_of(source, options.state_dir);
  const auto cache_dir = cache_dir_of(source, options.cache_dir, options.state_dir);
  const auto mountpoint = absolute_mountpoint(options.places.back());
  check_mountpoint(mountpoint);  // before a password is asked for
  make_private_folder(state_dir);
  make_private_folder(cache_dir);

  auto remote = open_source(source, tuning.unverified_blocks);
  auto passwords = read_passwords(options.unlock, options.password);
  if (!options.foreground) {
    if (options.password.fd > STDERR_FILENO) ::close(*options.password.fd);
    start_log(state_dir);
  }
  MountPlan plan{.mountpoint = mountpoint,
                 .source = source.shown,
                 .cache_dir = cache_dir,
                 .state_dir = state_dir,
                 .device_key = device_key(state_dir),
                 .client = client_of(source),
                 .libraries = options.libraries,
                 .passwords = std::move(passwords),
                 .read_only = tuning.read_only || !remote->writable(),
                 .fuse_options = tuning.fuse,
                 .ready = [&] {
                   log::info("mounted " + source.shown + " on " + mountpoint.string());
                   ready();
                 }};
  if (tuning.cache_limit) plan.cache_limit = *tuning.cache_limit;
  if (tuning.write_buffer) plan.write_buffer = *tuning.write_buffer;
  plan.fsync_remote = tuning.fsync_remote;
  if (tuning.timeout) plan.timeout_seconds = *tuning.timeout;
  if (tuning.open_limit) plan.open_limit_seconds = *tuning.open_limit;
  if (tuning.poll) plan.poll_seconds = *tuning.poll;
  if (tuning.quiet) plan.quiet_milliseconds = *tuning.quiet;
  serve_mount(std::move(plan), std::move(remote));
  log::info("unmounted " + mountpoint.string());
  return Exit::ok;
}

}  // namespace

Exit mount(const MountOptions& options, const Io& io) {
  const auto tuning = tuning_of(options);  // a mistake in it is told before anything is begun
  if (options.foreground)
    return serve(options, tuning, [&] { io.out << "nacre: mounted; Ctrl-C ends it" << std::endl; });
  const auto work = [&](const Io&, const Ready& ready) { return serve(options, tuning, ready); };
  return run_in_background(work, options.password.fd, io);
}

}  // namespace nacre
