// SPDX-License-Identifier: Apache-2.0
#include "fs/fusermount_helper.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/error.hpp"
#include "fs/fusermount.hpp"
#include "fs/mountpoint.hpp"

namespace nacre {
namespace {

namespace files = std::filesystem;

constexpr unsigned seconds_to_ask = 10;
constexpr unsigned seconds_to_work = 150;  // an unmount writes changes to the disk first
constexpr std::array<std::string_view, 13> allowed = {
    "ro",           "rw",      "default_permissions",
    "allow_other",  "exec",    "noexec",
    "nosuid",       "nodev",   "sync",
    "async",        "dirsync", "noatime",
    "subtype=nacre"};

[[noreturn]] void refuse(const std::string& why) { throw Error(Errc::denied, "refused: " + why); }

void check_peer(int connection) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    refuse("not a connection");
  if (peer.uid != ::geteuid()) refuse("another user asks");
}

std::vector<std::string> receive_words(int connection) {
  std::string packet(max_fusermount_packet + 1, '\0');
  ssize_t size = 0;
  while ((size = ::recv(connection, packet.data(), packet.size(), 0)) < 0)
    if (errno != EINTR) refuse(std::generic_category().message(errno));
  packet.resize(static_cast<std::size_t>(size));
  if (packet.empty() || packet.size() > max_fusermount_packet || packet.back() != '\0')
    refuse("not a request");
  std::vector<std::string> words;
  for (std::size_t at = 0; at < packet.size(); at += words.back().size() + 1)
    words.emplace_back(packet.c_str() + at);
  return words;
}

// Links on the way to it are followed by nobody later: its folder has none.
void check_place(const files::path& place, const files::path& folder) {
  std::error_code code;
  if (!place.has_filename() || place.lexically_normal() != place ||
      place.parent_path() != files::canonical(folder, code) || code)
    refuse(place.string() + ": not directly in " + folder.string());
}

bool is_allowed(std::string_view option) {
  return option.starts_with("fsname=") || std::ranges::find(allowed, option) != allowed.end();
}

// fusermount3 hands the descriptor to whoever asked: that is all of the reply.
void mount(int connection, const std::string& place, const std::vector<std::string>& options) {
  if (mounted_type(place)) refuse(place + ": already a mount");
  std::string joined = "subtype=nacre";
  for (const auto& option : options) {
    if (!is_allowed(option)) refuse("the option " + option);
    joined += ',' + escaped_option(option);
  }
  ::setenv("_FUSE_COMMFD", std::to_string(connection).c_str(), 1);
  if (const auto complaint = run_fusermount({"-o", joined, "--", place}))
    throw Error(Errc::denied, *complaint);
}

void unmount(int connection, const std::string& place, const char* flag) {
  if (mounted_type(place) == "fuse.nacre") {  // else somebody was faster
    if (const auto complaint = run_fusermount({flag, "--", place}))
      throw Error(Errc::busy, *complaint);
  }
  ::send(connection, "", 1, MSG_NOSIGNAL);
}

void carry_out(int connection, const std::vector<std::string>& words, const files::path& folder) {
  if (words.size() < 2) refuse("not a request");
  check_place(words[1], folder);
  if (words[0] == "mount")
    mount(connection, words[1], {words.begin() + 2, words.end()});
  else if (words.size() == 2 && words[0] == "unmount")
    unmount(connection, words[1], "-u");
  else if (words.size() == 2 && words[0] == "detach")
    unmount(connection, words[1], "-uz");
  else
    refuse("not a request");
}

}  // namespace

void serve_fusermount(int connection, const files::path& folder) try {
  ::alarm(seconds_to_ask);
  check_peer(connection);
  const auto words = receive_words(connection);
  ::alarm(seconds_to_work);
  carry_out(connection, words, folder);
} catch (const Error& error) {
  const std::string_view why = error.what();
  ::send(connection, why.data(), std::min<std::size_t>(why.size(), 1024), MSG_NOSIGNAL);
  throw;
}

}  // namespace nacre
