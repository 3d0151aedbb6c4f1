// SPDX-License-Identifier: Apache-2.0
#include "cli/daemon.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <sstream>
#include <string>
#include <system_error>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/log.hpp"

namespace nacre {
namespace {

// What the child says: its exit status (0: ready), then the texts for `out` and `err`,
// the first ended by a NUL.
void report(Fd& pipe, Exit status, const std::string& out, const std::string& err) {
  std::string text(1, static_cast<char>(status));
  text += out + '\0' + err;
  std::size_t sent = 0;
  while (sent < text.size()) {
    const auto n = ::write(pipe.get(), text.data() + sent, text.size() - sent);
    if (n < 0 && errno != EINTR) break;  // nobody waits any more
    if (n > 0) sent += static_cast<std::size_t>(n);
  }
  pipe.reset();
}

// Away from the terminal that started us, and from the folder, which may be a mount itself.
void leave_terminal() {
  ::setsid();
  [[maybe_unused]] const int moved = ::chdir("/");
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (null.get() >= 0) ::dup2(null.get(), fd);
}

// All but the standard ones and these two.
void close_others(int one, int other) {
  unsigned next = 3;
  for (const int kept : {std::min(one, other), std::max(one, other)}) {
    const auto keep = static_cast<unsigned>(kept);
    if (kept < 0 || keep < next) continue;
    if (keep > next) ::close_range(next, keep - 1, 0);
    next = keep + 1;
  }
  ::close_range(next, UINT_MAX, 0);
}

[[noreturn]] void be_the_child(Fd pipe, const Work& work, const Io& io) {
  keep_memory_private();
  std::ostringstream out, err;
  const Io own = {io.in, out, err};
  bool ready = false;
  const auto status = as_exit(own, [&] {
    return work(own, [&] {
      ready = true;
      leave_terminal();
      report(pipe, Exit::ok, out.str(), err.str());
      err.str({});
    });
  });
  if (!ready) {
    report(pipe, status == Exit::ok ? Exit::failed : status, out.str(), err.str());
  } else if (status != Exit::ok) {
    log::error(err.str());
  }
  // Not exit(): what is registered there belongs to the parent.
  ::_exit(static_cast<int>(status));
}

std::string read_report(const Fd& pipe) {
  std::string text;
  std::array<char, 4096> part{};
  for (;;) {
    const auto n = ::read(pipe.get(), part.data(), part.size());
    if (n == 0 || (n < 0 && errno != EINTR)) return text;
    if (n > 0) text.append(part.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace

Exit run_in_background(const Work& work, std::optional<int> kept, const Io& io) {
  std::array<int, 2> ends = {};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    throw Error(Errc::internal, "pipe: " + std::generic_category().message(errno));
  const Fd from_child(ends[0]);
  Fd to_parent(ends[1]);
  io.out.flush();
  io.err.flush();
  const auto pid = ::fork();
  if (pid < 0)
    throw Error(Errc::internal, "fork: " + std::generic_category().message(errno) +
                                    "; too many processes are running");
  if (pid == 0) {
    close_others(to_parent.get(), kept.value_or(-1));
    be_the_child(std::move(to_parent), work, io);
  }
  to_parent.reset();

  const auto text = read_report(from_child);
  if (text.empty()) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    throw Error(Errc::internal, WIFSIGNALED(status) ? std::string("daemon: ended by signal: ") +
                                                          ::strsignal(WTERMSIG(status))
                                                    : "daemon: ended without a word");
  }
  const auto err = text.find('\0', 1);
  io.out << text.substr(1, err - 1);
  if (err != std::string::npos) io.err << text.substr(err + 1);
  const auto status = static_cast<Exit>(text[0]);
  if (status != Exit::ok) ::waitpid(pid, nullptr, 0);  // it has no more to do
  return status;
}

}  // namespace nacre
