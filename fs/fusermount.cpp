// SPDX-License-Identifier: Apache-2.0
#include "fs/fusermount.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"

namespace nacre {
namespace {

namespace files = std::filesystem;

constexpr timeval patience = {.tv_sec = 180, .tv_usec = 0};  // more than the helper has

const char* helper_path() noexcept { return std::getenv("NACRE_FUSERMOUNT_SOCKET"); }

[[noreturn]] void fail(const std::string& why) {
  throw Error(Errc::denied, "the helper that mounts: " + why +
                                "; see systemctl --user status nacre-fusermount.socket");
}

[[noreturn]] void fail(int error) { fail(std::generic_category().message(error)); }

Fd connected() {
  sockaddr_un name = {};
  const std::string_view path = helper_path();
  if (path.size() >= sizeof name.sun_path) fail(ENAMETOOLONG);
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, path.size());
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (fd.get() < 0 ||
      ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
    fail(errno);
  return fd;
}

// The descriptor in a message, or none.
Fd descriptor_in(msghdr& message) {
  const cmsghdr* control = CMSG_FIRSTHDR(&message);
  int fd = -1;
  if (control != nullptr && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS &&
      control->cmsg_len == CMSG_LEN(sizeof fd))
    std::memcpy(&fd, CMSG_DATA(control), sizeof fd);
  return Fd(fd);
}

Fd receive_reply(const Fd& helper) {
  std::array<char, 1024> text = {};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> room = {};
  iovec part = {.iov_base = text.data(), .iov_len = text.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room.data();
  message.msg_controllen = room.size();
  ssize_t size = 0;
  while ((size = ::recvmsg(helper.get(), &message, MSG_CMSG_CLOEXEC)) < 0)
    if (errno != EINTR) fail(errno);
  auto fd = descriptor_in(message);
  const std::string_view said(text.data(), static_cast<std::size_t>(size));
  if (said.empty()) fail("it hung up");
  if (said != std::string_view("\0", 1)) fail(std::string(said));
  return fd;
}

Fd ask_helper(const std::vector<std::string>& words) {
  std::string packet;
  for (const auto& word : words) packet += word + '\0';
  if (packet.size() > max_fusermount_packet) fail(E2BIG);
  const auto helper = connected();
  if (::send(helper.get(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0) fail(errno);
  return receive_reply(helper);
}

std::string read_all(const Fd& pipe) {
  std::string text;
  std::array<char, 512> part = {};
  for (;;) {
    const auto n = ::read(pipe.get(), part.data(), part.size());
    if (n == 0 || (n < 0 && errno != EINTR)) return text;
    if (n > 0 && text.size() < part.size()) text.append(part.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace

bool has_fusermount_helper() noexcept {
  const auto* path = helper_path();
  return path != nullptr && path[0] == '/';
}

Fd mount_by_helper(const files::path& mountpoint, const std::vector<std::string>& options) {
  std::vector<std::string> words = {"mount", mountpoint.string()};
  words.insert(words.end(), options.begin(), options.end());
  auto kernel = ask_helper(words);
  if (kernel.get() < 0) fail("it gave no descriptor");
  return kernel;
}

std::optional<std::string> unmount_by_fusermount(const files::path& mountpoint, Unmount how) try {
  const bool at_once = how == Unmount::at_once;
  if (has_fusermount_helper()) {
    ask_helper({at_once ? "detach" : "unmount", mountpoint.string()});
    return std::nullopt;
  }
  return run_fusermount({at_once ? "-uz" : "-u", "--", mountpoint.string()});
} catch (const Error& error) {
  log::debug(error.what());
  return error.what();
}

std::optional<std::string> run_fusermount(std::vector<std::string> words) {
  words.insert(words.begin(), "fusermount3");
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::array<int, 2> ends = {};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::generic_category().message(errno);
  const Fd from(ends[0]);
  Fd to(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, to.get(), STDERR_FILENO);
  pid_t child = 0;
  const int rc = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (rc != 0) return words[0] + ": " + std::generic_category().message(rc);
  to.reset();
  auto complaint = read_all(from);
  while (!complaint.empty() && complaint.back() == '\n') complaint.pop_back();
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return std::generic_category().message(errno);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return std::nullopt;
  return complaint.empty() ? words[0] + ": failed" : complaint;
}

std::string escaped_option(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (c == ',' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  return quoted;
}

}  // namespace nacre
