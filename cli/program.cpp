// SPDX-License-Identifier: Apache-2.0
#include "cli/program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>

#include "base/error.hpp"

namespace nacre {
namespace {

[[noreturn]] void fail(const std::string& what, int error) {
  throw Error(Errc::internal, what + ": " + std::generic_category().message(error));
}

struct Pipe {
  Pipe() {
    std::array<int, 2> ends = {};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe", errno);
    // Above the descriptors that a child is given: dup2 onto itself would keep O_CLOEXEC.
    from = Fd(::fcntl(ends[0], F_DUPFD_CLOEXEC, secret_fd + 1));
    to = Fd(::fcntl(ends[1], F_DUPFD_CLOEXEC, secret_fd + 1));
    ::close(ends[0]);
    ::close(ends[1]);
    if (from.get() < 0 || to.get() < 0) fail("pipe", errno);
  }
  Fd from, to;
};

// How the child starts; freed with the object.
struct Setting {
  Setting() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;
  ~Setting() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions = {};
  posix_spawnattr_t attributes = {};
};

}  // namespace

Program::Program(const std::vector<std::string>& args, const Secret* secret) {
  Pipe output, password;
  Setting setting;
  auto* actions = &setting.actions;
  ::posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(actions, output.to.get(), STDOUT_FILENO);
  if (secret != nullptr) {
    ::posix_spawn_file_actions_adddup2(actions, password.from.get(), secret_fd);
    const auto bytes = secret->bytes();  // less than a pipe holds
    if (::write(password.to.get(), bytes.data(), bytes.size()) < 0) fail("pipe", errno);
  }
  password.to.reset();

  auto words = args;
  words.insert(words.begin(), "nacre");
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int rc =
      ::posix_spawn(&pid_, "/proc/self/exe", actions, &setting.attributes, argv.data(), environ);
  if (rc != 0) fail("nacre", rc);
  output_ = std::move(output.from);
}

Program::~Program() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  pollfd poller = {.fd = process.get(), .events = POLLIN, .revents = 0};
  if (::poll(&poller, 1, 10'000) <= 0) ::kill(pid_, SIGKILL);
  wait();
}

bool Program::read_more(std::chrono::seconds patience) {
  pollfd poller = {.fd = output_.get(), .events = POLLIN, .revents = 0};
  const auto milliseconds = std::chrono::milliseconds(patience).count();
  if (::poll(&poller, 1, static_cast<int>(milliseconds)) == 0)
    throw Error(Errc::interrupted, "nacre: no answer from it in time");
  std::array<char, 4096> part{};
  const auto n = ::read(output_.get(), part.data(), part.size());
  if (n > 0) pending_.append(part.data(), static_cast<std::size_t>(n));
  return n > 0;
}

std::string Program::next_line(std::chrono::seconds patience) {
  while (pending_.find('\n') == std::string::npos && read_more(patience)) continue;
  const auto end = std::min(pending_.find('\n'), pending_.size());
  auto line = pending_.substr(0, end);
  pending_.erase(0, end + 1);
  return line;
}

std::string Program::rest(std::chrono::seconds patience) {
  while (read_more(patience)) continue;
  return std::exchange(pending_, {});
}

int Program::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace nacre
