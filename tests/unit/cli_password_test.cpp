// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "base/error.hpp"
#include "cli/password.hpp"
#include "unit/cli_home.hpp"

namespace nacre {
namespace {

std::string text_of(const Secret& secret) { return std::string(as_text(secret.bytes())); }

TEST_CASE("a password is one line of the descriptor, and the next line stays there", "[cli]") {
  const auto fd = test::pipe_with("first one\nsecond\r\nthird");
  CHECK(text_of(read_secret_line(fd.get(), "it")) == "first one");
  CHECK(text_of(read_secret_line(fd.get(), "it")) == "second");
  CHECK(text_of(read_secret_line(fd.get(), "it")) == "third");
  CHECK_THROWS_AS(read_secret_line(fd.get(), "it"), Error);
}

TEST_CASE("an empty, an endless and an unreadable password are refused", "[cli]") {
  CHECK_THROWS_AS(read_secret_line(test::pipe_with("\nrest").get(), "it"), Error);
  CHECK_THROWS_AS(read_secret_line(test::pipe_with(std::string(5000, 'x')).get(), "it"), Error);
  CHECK_THROWS_AS(read_secret_line(987, "it"), Error);
}

TEST_CASE("a command gives a line for each password asked for", "[cli]") {
  const PasswordSource source{.fd = std::nullopt, .command = "printf 'one\\ntwo\\nmore\\n'"};
  const auto secrets = read_secrets(source, {"a", "b"});
  REQUIRE(secrets.size() == 2);
  CHECK(text_of(secrets[0]) == "one");
  CHECK(text_of(secrets[1]) == "two");
  CHECK(source.given());
}

TEST_CASE("a command that fails gives no password, whatever it wrote", "[cli]") {
  const auto command = GENERATE("echo geheim; exit 3", "exit 1", "kill -9 $$");
  try {
    read_one_secret({.fd = std::nullopt, .command = command}, "it");
    FAIL("no error");
  } catch (const Error& e) {
    CHECK(std::string(e.what()).find("command") != std::string::npos);
    CHECK(std::string(e.what()).find("geheim") == std::string::npos);
  }
}

// A child with a terminal of its own that asks for a password; 0 when it got "pearl".
struct Asking {
  Asking() {
    pid = ::forkpty(&terminal, nullptr, nullptr, nullptr);
    if (pid != 0) return;
    ::alarm(20);
    ::signal(SIGINT, SIG_DFL);  // not as the test framework would have it
    try {
      ::_exit(text_of(ask_secret("Word")) == "pearl" ? 0 : 1);
    } catch (const Error&) {
      ::_exit(2);
    }
  }
  ~Asking() { ::close(terminal); }

  // What the terminal shows, until `end` was seen or all has come.
  std::string shown_until(std::string_view end) const {
    std::string text;
    char c = 0;
    pollfd poller = {terminal, POLLIN, 0};
    while (text.find(end) == std::string::npos && ::poll(&poller, 1, 20'000) > 0 &&
           ::read(terminal, &c, 1) == 1)
      text += c;
    return text;
  }
  [[nodiscard]] bool echoes() const {
    termios now = {};
    ::tcgetattr(terminal, &now);
    return (now.c_lflag & ECHO) != 0;
  }
  void type(std::string_view text) const {
    REQUIRE(::write(terminal, text.data(), text.size()) > 0);
  }
  int end() const {
    int status = 0;
    ::waitpid(pid, &status, 0);
    return status;
  }

  int terminal = -1;
  pid_t pid = -1;
};

TEST_CASE("a password typed at the terminal is not shown", "[cli]") {
  const Asking asking;
  CHECK(asking.shown_until(": ") == "Word: ");
  CHECK_FALSE(asking.echoes());
  asking.type("pearl\n");
  const auto rest = asking.shown_until("\n");
  CHECK(rest.find("pearl") == std::string::npos);
  CHECK(asking.end() == 0);
}

TEST_CASE("an interrupted prompt leaves the terminal as it was, and the signal is followed",
          "[cli]") {
  const Asking asking;
  CHECK(asking.shown_until(": ") == "Word: ");
  asking.type("pea\x03");  // Ctrl-C
  const int status = asking.end();
  CHECK(asking.echoes());
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGINT);
}

}  // namespace
}  // namespace nacre
