// SPDX-License-Identifier: Apache-2.0
#include "cli/mount_options.hpp"

#include <arpa/inet.h>
#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "cli/folders.hpp"

namespace nacre {
namespace {

namespace stdfs = std::filesystem;

constexpr std::uint64_t least_limit = std::uint64_t{16} << 10U;  // bytes per second

[[noreturn]] void refuse(std::string_view option, std::string_view text, const std::string& why) {
  throw UsageError("mount: -o " + std::string(option) + "=" + std::string(text) + ": " + why);
}

std::optional<std::uint64_t> parsed(std::string_view text, int base = 10) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::uint64_t number(std::string_view option, std::string_view text, std::uint64_t limit) {
  const auto value = parsed(text);
  if (!value || *value == 0 || *value > limit) refuse(option, text, "not a number that can be");
  return *value;
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

// "127.0.0.1:9100" or "[::1]:9100": whoever can read it must be on this machine.
Tuning::Metrics loopback(std::string_view option, std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) refuse(option, text, "not ADDRESS:PORT");
  Tuning::Metrics metrics{std::string(text.substr(0, colon)), 0};
  if (metrics.address.starts_with('[') && metrics.address.ends_with(']'))
    metrics.address = metrics.address.substr(1, metrics.address.size() - 2);
  in_addr v4 = {};
  in6_addr v6 = {};
  const bool here =
      (::inet_pton(AF_INET, metrics.address.c_str(), &v4) == 1 && ntohl(v4.s_addr) >> 24U == 127) ||
      (::inet_pton(AF_INET6, metrics.address.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6));
  if (!here) refuse(option, text, "not an address of this machine alone, such as 127.0.0.1");
  metrics.port = static_cast<int>(number(option, text.substr(colon + 1), 65535));
  return metrics;
}

mode_t mask(std::string_view option, std::string_view text) {
  const auto value = parsed(text, 8);
  if (!value || *value > 0777) refuse(option, text, "not three octal digits");
  return static_cast<mode_t>(*value);
}

// A number, or a name.
uid_t user_of(std::string_view option, std::string_view text) {
  constexpr std::uint64_t nobody_at_all = 0xffffffff;
  if (const auto value = parsed(text); value && *value < nobody_at_all)
    return static_cast<uid_t>(*value);
  const auto* user = ::getpwnam(std::string(text).c_str());
  if (user == nullptr) refuse(option, text, "no such user");
  return user->pw_uid;
}

gid_t group_of(std::string_view option, std::string_view text) {
  constexpr std::uint64_t nobody_at_all = 0xffffffff;
  if (const auto value = parsed(text); value && *value < nobody_at_all)
    return static_cast<gid_t>(*value);
  const auto* group = ::getgrnam(std::string(text).c_str());
  if (group == nullptr) refuse(option, text, "no such group");
  return group->gr_gid;
}

template <std::size_t n>
bool is_one_of(std::string_view key, const std::array<std::string_view, n>& words) {
  return std::ranges::find(words, key) != words.end();
}

// The kernel's own, which it keeps by itself.
constexpr std::array<std::string_view, 10> handed_on = {"allow_other", "default_permissions",
                                                        "exec",        "noexec",
                                                        "nosuid",      "nodev",
                                                        "sync",        "async",
                                                        "dirsync",     "noatime"};

// What is for mount(8), systemd and boot scripts, or has no meaning here: a library holds no
// devices, no set-user-id bits and no times of access.
constexpr std::array<std::string_view, 22> not_ours = {
    "defaults",   "auto",     "noauto",     "user",        "nouser",        "users",
    "owner",      "group",    "nofail",     "_netdev",     "suid",          "dev",
    "atime",      "relatime", "norelatime", "strictatime", "nostrictatime", "diratime",
    "nodiratime", "lazytime", "nolazytime", "silent"};

bool is_not_ours(std::string_view key, bool has_value) {
  if (key.starts_with("x-") || key.starts_with("X-")) return true;
  return has_value ? key == "user" || key == "comment" || key == "uhelper" || key == "helper"
                   : is_one_of(key, not_ours);
}

bool apply_word(Tuning& tuning, std::string_view key) {
  if (key == "ro" || key == "rw") {
    tuning.read_only = key == "ro";
  } else if (key == "unverified-blocks") {
    tuning.unverified_blocks = true;
  } else if (key == "lock-on-sleep") {
    tuning.lock_on_sleep = true;
  } else if (key == "noshield") {
    tuning.shield.clear();
  } else if (key == "snapshots") {
    tuning.snapshots = true;
  } else if (is_one_of(key, handed_on)) {
    tuning.fuse.emplace_back(key);
  } else {
    return false;
  }
  return true;
}

bool apply_place(Tuning& tuning, MountOptions& options, std::string_view key,
                 const std::string& value) {
  if (key == "ca-file") {
    tuning.ca_file = stdfs::absolute(value);
  } else if (key == "library") {
    options.libraries.push_back(value);
  } else if (key == "unlock") {
    options.unlock.push_back(value);
  } else if (key == "password-file") {
    options.password.file = value;
  } else if (key == "cache-dir") {
    options.cache_dir = value;
  } else if (key == "state-dir") {
    options.state_dir = value;
  } else {
    return false;
  }
  return true;
}

bool apply_value(Tuning& tuning, std::string_view key, std::string_view value) {
  if (key == "cache-limit") {
    tuning.cache_limit = bytes(key, value);
  } else if (key == "write-buffer") {
    tuning.write_buffer = bytes(key, value);
  } else if (key == "limit-download" || key == "limit-upload") {
    const auto limit = bytes(key, value);
    if (limit < least_limit) refuse(key, value, "less than 16K a second is no use");
    (key == "limit-download" ? tuning.download_limit : tuning.upload_limit) = limit;
  } else if (key == "fsync") {
    if (value != "local" && value != "remote") refuse(key, value, "neither local nor remote");
    tuning.fsync_remote = value == "remote";
  } else if (key == "notify") {
    if (value != "yes" && value != "no") refuse(key, value, "neither yes nor no");
    tuning.notify = value == "yes";
  } else if (key == "max-deletions") {
    const auto most = parsed(value);
    if (!most) refuse(key, value, "not a number");
    tuning.max_deletions = *most;
  } else if (key == "open-limit") {
    tuning.open_limit = static_cast<int>(number(key, value, 24UL * 3600));
  } else if (key == "metrics") {
    tuning.metrics = loopback(key, value);
  } else if (key == "shield") {
    for (std::size_t begin = 0; begin < value.size();) {
      const auto end = std::min(value.find(':', begin), value.size());
      if (end > begin) tuning.shield.emplace_back(value.substr(begin, end - begin));
      begin = end + 1;
    }
  } else if (key == "timeout") {
    tuning.timeout = static_cast<int>(number(key, value, 24UL * 3600));
  } else if (key == "poll") {
    tuning.poll = static_cast<int>(number(key, value, 24UL * 3600));
  } else if (key == "quiet") {
    tuning.quiet = static_cast<int>(number(key, value, 3600UL * 1000));
  } else if (key == "uid") {
    tuning.shown.uid = user_of(key, value);
  } else if (key == "gid") {
    tuning.shown.gid = group_of(key, value);
  } else if (key == "umask") {
    tuning.shown.file_mask = tuning.shown.folder_mask = mask(key, value);
  } else if (key == "fmask") {
    tuning.shown.file_mask = mask(key, value);
  } else if (key == "dmask") {
    tuning.shown.folder_mask = mask(key, value);
  } else {
    return false;
  }
  return true;
}

void apply(Tuning& tuning, MountOptions& options, std::string_view option) {
  const auto equals = option.find('=');
  const bool has_value = equals != std::string_view::npos;
  const auto key = option.substr(0, equals);
  const auto value = has_value ? option.substr(equals + 1) : "";
  if (is_not_ours(key, has_value)) return;
  const bool known =
      has_value ? !value.empty() && (apply_place(tuning, options, key, std::string(value)) ||
                                     apply_value(tuning, key, value))
                : apply_word(tuning, key);
  // Never a secret where every user of the machine can read it.
  if (key == "password" || key == "pass" || key == "token")
    throw UsageError("mount: -o " + std::string(key) +
                     ": others could read it here; use password-file=FILE");
  if (!known && !options.sloppy)
    throw UsageError("mount: -o " + std::string(option) +
                     ": unknown, or its value is missing; see nacre-mount(1)");
}

// One line of the configuration file, as if it were given with -o.
void apply(Tuning& tuning, MountOptions& options, const ConfigItem& item) {
  const auto& key = item.key;
  if (item.values.size() > 1 && key != "library" && key != "unlock")
    throw UsageError(key + ": more than one value; put it between quotes, and give it once");
  for (const auto& value : item.values) {
    Tuning unused;
    if (key == "password-command") {
      options.password.command = value;
    } else if (key == "read-only" && (value == "true" || value == "false")) {
      tuning.read_only = value == "true";
    } else if (value == "true" && apply_word(tuning, key)) {
      continue;
    } else if (value != "false" || !apply_word(unused, key)) {
      apply(tuning, options, key + "=" + value);
    }
  }
}

constexpr std::string_view any_mount = "mount";  // a section's name; with a place behind it for one

// Whether a section is for one mount, which is this: [mount MOUNTPOINT] or [mount SOURCE].
bool is_for(const std::string& section, const MountOptions& options) {
  if (section == any_mount) return false;
  const auto place = section.substr(any_mount.size() + 1);
  return place == absolute_mountpoint(options.places.back()) ||
         (options.places.size() == 2 && place == options.places[0]);
}

void apply_checked(Tuning& tuning, MountOptions& options, const ConfigItem& item) {
  constexpr std::string_view prefix = "mount: -o ";
  const auto where = config_file().string() + ": [" + item.section + "] ";
  if (item.section != any_mount && !item.section.starts_with(std::string(any_mount) + " "))
    throw UsageError(where + item.key + ": options stand in sections [mount] and [mount PLACE]");
  try {
    apply(tuning, options, item);
  } catch (const UsageError& e) {
    const std::string_view why = e.what();
    throw UsageError(where + std::string(why.substr(why.starts_with(prefix) ? prefix.size() : 0)));
  }
}

// What is not said by `options`.
void fill_in(MountOptions& options, MountOptions file) {
  const auto fill = [](auto& given, auto& other) {
    if (given.empty()) given = std::move(other);
  };
  fill(options.libraries, file.libraries);
  fill(options.unlock, file.unlock);
  fill(options.cache_dir, file.cache_dir);
  fill(options.state_dir, file.state_dir);
  const auto& password = options.password;
  if (!password.fd && password.command.empty() && password.file.empty())
    options.password = std::move(file.password);
}

// What the file says of this mount, before what it says of all.  All of it is looked at, so that a
// mistake does not wait for its mount.
MountOptions apply_config(Tuning& tuning, const MountOptions& options,
                          const std::vector<ConfigItem>& config) {
  Tuning others;
  MountOptions all, own, elsewhere;
  for (const auto& item : config) {
    const bool of_all = item.section == any_mount;
    apply_checked(of_all ? tuning : others, of_all ? all : elsewhere, item);
  }
  for (const auto& item : config) {
    if (is_for(item.section, options)) apply_checked(tuning, own, item);
  }
  fill_in(own, std::move(all));
  return own;
}

}  // namespace

Tuning take_mount_options(MountOptions& options, const std::vector<ConfigItem>& config) {
  Tuning tuning;
  auto file = apply_config(tuning, options, config);
  for (const auto& given : options.options) {
    std::string_view list = given;
    while (!list.empty()) {
      const auto comma = std::min(list.find(','), list.size());
      if (comma > 0) apply(tuning, options, list.substr(0, comma));
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
  }
  fill_in(options, std::move(file));
  if (options.read_only) tuning.read_only = true;
  if (options.lock_on_sleep) tuning.lock_on_sleep = true;
  if (!options.fsync.empty()) tuning.fsync_remote = options.fsync == "remote";
  if (!options.password.file.empty() && (options.password.fd || !options.password.command.empty()))
    throw UsageError("mount: -o password-file and another source of passwords; give one");
  return tuning;
}

}  // namespace nacre
