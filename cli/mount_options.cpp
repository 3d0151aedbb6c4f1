// SPDX-License-Identifier: Apache-2.0
#include "cli/mount_options.hpp"

#include <arpa/inet.h>
#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace nacre {
namespace {

namespace stdfs = std::filesystem;

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
  } else if (key == "fsync") {
    if (value != "local" && value != "remote") refuse(key, value, "neither local nor remote");
    tuning.fsync_remote = value == "remote";
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
                     ": a command line can be read by everybody; use password-file=FILE");
  if (!known && !options.sloppy)
    throw UsageError("mount: -o " + std::string(option) +
                     ": unknown, or its value is missing; see nacre-mount(1)");
}

}  // namespace

Tuning take_mount_options(MountOptions& options) {
  Tuning tuning;
  for (const auto& given : options.options) {
    std::string_view list = given;
    while (!list.empty()) {
      const auto comma = std::min(list.find(','), list.size());
      if (comma > 0) apply(tuning, options, list.substr(0, comma));
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
  }
  if (options.read_only) tuning.read_only = true;
  if (!options.fsync.empty()) tuning.fsync_remote = options.fsync == "remote";
  if (!options.password.file.empty() && (options.password.fd || !options.password.command.empty()))
    throw UsageError("mount: -o password-file and another source of passwords; give one");
  return tuning;
}

}  // namespace nacre
