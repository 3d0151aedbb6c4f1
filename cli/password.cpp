// SPDX-License-Identifier: Apache-2.0
#include "cli/password.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "base/error.hpp"
#include "base/fd.hpp"

namespace nacre {
namespace {

constexpr std::size_t max_secret = 4096;

volatile std::sig_atomic_t caught = 0;  // the signal that came while a password was typed

// Echo off, and signals noted instead of followed, until destroyed; then both as before,
// and the signal that came is followed after all.  Signals come in during wait() only: one that
// came just before a read() would otherwise be slept over.
class QuietTerminal {
 public:
  explicit QuietTerminal(int fd) : fd_(fd) {
    if (::tcgetattr(fd_, &before_) != 0)
      throw Error(Errc::invalid, "password: this is no terminal; use --password-fd");
    caught = 0;
    struct sigaction note = {};
    note.sa_handler = [](int signal) { caught = signal; };  // no SA_RESTART: read() returns
    sigset_t ours;
    ::sigemptyset(&ours);
    for (const int signal : signals) ::sigaddset(&ours, signal);
    ::sigprocmask(SIG_BLOCK, &ours, &mask_);
    for (std::size_t i = 0; i < signals.size(); ++i) ::sigaction(signals[i], &note, &handlers_[i]);
    auto quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL);
    ::tcsetattr(fd_, TCSAFLUSH, &quiet);
  }
  QuietTerminal(const QuietTerminal&) = delete;
  QuietTerminal& operator=(const QuietTerminal&) = delete;
  ~QuietTerminal() {
    ::tcsetattr(fd_, TCSAFLUSH, &before_);
    for (std::size_t i = 0; i < signals.size(); ++i)
      ::sigaction(signals[i], &handlers_[i], nullptr);
    ::sigprocmask(SIG_SETMASK, &mask_, nullptr);
    if (caught != 0) ::raise(caught);
  }

  // For something to read.  Throws Error{interrupted} when a signal comes first.
  void wait() const {
    pollfd poller = {.fd = fd_, .events = POLLIN, .revents = 0};
    while (::ppoll(&poller, 1, nullptr, &mask_) < 0 && caught == 0) continue;
    if (caught != 0) throw Error(Errc::interrupted, "password: interrupted");
  }

 private:
  static constexpr std::array signals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
  int fd_;
  termios before_ = {};
  sigset_t mask_ = {};
  std::array<struct sigaction, signals.size()> handlers_ = {};
};

void say(int fd, std::string_view text) {
  [[maybe_unused]] const auto n = ::write(fd, text.data(), text.size());
}

// A shell command whose output is read through fd().
class Command {
 public:
  explicit Command(const std::string& text) {
    std::array<int, 2> ends = {};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      throw Error(Errc::internal, "password command: no pipe; close some programs");
    output_ = Fd(ends[0]);
    const Fd input(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, input.get(), STDOUT_FILENO);
    std::string shell = "sh", option = "-c", script = text;
    std::array<char*, 4> argv = {shell.data(), option.data(), script.data(), nullptr};
    const int rc = ::posix_spawn(&pid_, "/bin/sh", &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (rc != 0)
      throw Error(Errc::internal, "password command: " + std::generic_category().message(rc) +
                                      "; is there a shell?");
  }
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  ~Command() { wait(); }

  [[nodiscard]] int fd() const noexcept { return output_.get(); }

  // Takes the rest of the output, so that the command can end.  Throws Error where it failed.
  void finish() {
    std::array<std::uint8_t, 256> rest{};
    while (::read(output_.get(), rest.data(), rest.size()) > 0) continue;
    wipe(rest);
    if (wait() != 0) throw Error(Errc::invalid, "password command: it failed; try it in a shell");
  }

 private:
  int wait() noexcept {
    output_.reset();
    while (pid_ > 0 && ::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) continue;
    pid_ = -1;
    return status_;
  }

  Fd output_;
  pid_t pid_ = -1;
  int status_ = 0;
};

// `wait` is called before each byte is read.
template <class Wait>
Secret read_line(int fd, const std::string& what, Wait wait) {
  Secret room(max_secret + 1);
  const auto bytes = room.bytes();
  std::size_t size = 0;
  for (;;) {  // byte by byte: the next line may be somebody else's
    wait();
    const auto n = ::read(fd, &bytes[size], 1);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      throw Error(Errc::invalid, what + ": " + std::generic_category().message(errno) +
                                     "; check the descriptor that it is read from");
    if (n == 0 || bytes[size] == '\n') break;
    if (++size > max_secret)
      throw Error(Errc::invalid, what + ": more than 4096 bytes in a line; is it the right one?");
  }
  if (size > 0 && bytes[size - 1] == '\r') --size;
  if (size == 0) throw Error(Errc::invalid, what + ": empty; give one line with it");
  return Secret::copy_of(bytes.first(size));
}

// Throws Error where others could have read it, or where it is none.
Fd open_private(const std::string& name) {
  auto path = name;
  const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");
  const bool given_by_systemd = name.find('/') == std::string::npos && credentials != nullptr;
  if (given_by_systemd) path = std::string(credentials) + "/" + name;
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat st = {};
  if (file.get() < 0 || ::fstat(file.get(), &st) != 0)
    throw Error(errno == EACCES ? Errc::denied : Errc::invalid,
                path + ": " + std::generic_category().message(errno) +
                    "; name a file that holds the password");
  if (!S_ISREG(st.st_mode))
    throw Error(Errc::invalid, path + ": not a file; name one that holds the password");
  // That systemd keeps others away from its folder is its promise; its modes may be wider.
  if (!given_by_systemd &&
      ((st.st_mode & 077U) != 0 || (st.st_uid != ::geteuid() && st.st_uid != 0)))
    throw Error(Errc::denied, path + ": not yours alone; chown it and `chmod 600` it");
  return file;
}

}  // namespace

Secret read_secret_line(int fd, const std::string& what) {
  return read_line(fd, what, [] {});
}

Secret ask_secret(const std::string& prompt) {
  const Fd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (terminal.get() < 0)
    throw Error(Errc::invalid,
                prompt + ": no terminal to ask on; use --password-fd or --password-command");
  const QuietTerminal quiet(terminal.get());
  say(terminal.get(), prompt + ": ");
  try {
    auto secret = read_line(terminal.get(), prompt, [&] { quiet.wait(); });
    say(terminal.get(), "\n");
    return secret;
  } catch (const Error&) {
    say(terminal.get(), "\n");
    throw;
  }
}

Secret ask_new_secret(const std::string& prompt) {
  for (;;) {
    auto first = ask_secret(prompt);
    if (first == ask_secret(prompt + ", again")) return first;
    const Fd terminal(::open("/dev/tty", O_WRONLY | O_CLOEXEC | O_NOCTTY));
    say(terminal.get(), "They differ; once more.\n");
  }
}

std::vector<Secret> read_secrets(const PasswordSource& source,
                                 const std::vector<std::string>& prompts) {
  std::vector<Secret> secrets;
  if (!source.command.empty()) {
    Command command(source.command);
    try {
      for (const auto& prompt : prompts) secrets.push_back(read_secret_line(command.fd(), prompt));
    } catch (const Error&) {
      command.finish();  // that it failed says more than that its output was empty
      throw;
    }
    command.finish();
  } else if (!source.file.empty()) {
    const auto file = open_private(source.file);
    for (const auto& prompt : prompts)
      secrets.push_back(read_secret_line(file.get(), source.file + ": " + prompt));
  } else {
    for (const auto& prompt : prompts)
      secrets.push_back(source.fd ? read_secret_line(*source.fd, prompt) : ask_secret(prompt));
  }
  return secrets;
}

Secret read_one_secret(const PasswordSource& source, const std::string& prompt) {
  return std::move(read_secrets(source, {prompt}).front());
}

}  // namespace nacre
