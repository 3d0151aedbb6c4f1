// SPDX-License-Identifier: Apache-2.0
#include "cli/browser.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <ostream>
#include <string>
#include <system_error>

#include "base/error.hpp"
#include "cli/blocked_signals.hpp"
#include "cli/folders.hpp"
#include "remote/browser_login.hpp"

namespace nacre {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::minutes patience{5};  // as long as servers know the link

bool on_desktop() {
  return std::getenv("DISPLAY") != nullptr || std::getenv("WAYLAND_DISPLAY") != nullptr;
}

// Who has the link gets the token, and every user of the machine can read a command line: the
// browser is given a page of ours that leads there.
class OpenedPage {
 public:
  explicit OpenedPage(const std::string& link) {
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    if (!on_desktop() || runtime == nullptr) return;
    try {
      path_ = std::filesystem::path(runtime) / "nacre" / "login.html";
      write_private_file(path_, as_bytes("<!doctype html><meta http-equiv=\"refresh\" "
                                         "content=\"0; url=" +
                                         escaped(link) + "\">\n"));
      open();
    } catch (const Error&) {  // the link has been printed
      path_.clear();
    }
  }
  OpenedPage(const OpenedPage&) = delete;
  OpenedPage& operator=(const OpenedPage&) = delete;
  ~OpenedPage() {
    std::error_code none;
    if (!path_.empty()) std::filesystem::remove(path_, none);
  }

 private:
  static std::string escaped(const std::string& link) {
    std::string text;
    for (const char c : link) {
      if (c == '&' || c == '"' || c == '<' || c == '>' || c == '\'')
        text += "&#" + std::to_string(static_cast<int>(c)) + ";";
      else
        text += c;
    }
    return text;
  }

  void open() {
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
      ::posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    std::string program = "xdg-open", page = path_.string();
    std::array<char*, 3> argv = {program.data(), page.data(), nullptr};
    pid_t pid = -1;
    ::posix_spawnp(&pid, program.c_str(), &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
  }

  std::filesystem::path path_;
};

}  // namespace

LoginResult log_in_by_browser(const ServerAddress& server, const ClientIdentity& client,
                              const Io& io) {
  const BrowserLogin login(server, client);
  const BlockedSignals interrupts;
  io.out << "Log in here, within five minutes; the link is for you only:\n"
         << login.link() << std::endl;
  const OpenedPage page(login.link());
  const auto deadline = Clock::now() + patience;
  while (Clock::now() < deadline) {
    if (interrupts.within(1) != 0)
      throw Error(Errc::interrupted, "login: interrupted; nothing was changed");
    if (auto result = login.look()) return *std::move(result);
  }
  throw Error(Errc::denied, server.url + ": nobody has logged in behind the link; log in again");
}

}  // namespace nacre
