// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdint>
#include <exception>
#include <optional>
#include <utility>

#include "base/fd.hpp"

namespace nacre::test {

// A process that runs `work` with the writing end of a pipe, and ends when that returns.
class Child {
 public:
  template <class Work>
  explicit Child(Work&& work) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    reading_ = Fd(ends[0]);
    Fd writing(ends[1]);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ != 0) return;
    reading_.reset();
    int status = 1;
    try {
      work(writing.get());
      status = 0;
    } catch (const std::exception&) {
    }
    ::_exit(status);
  }
  ~Child() { end(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }

  // The next number that it wrote; nothing when it has ended.
  std::optional<std::uint64_t> next() {
    std::uint64_t number = 0;
    if (::read(reading_.get(), &number, sizeof number) != sizeof number) return std::nullopt;
    return number;
  }

  void kill() {
    ::kill(pid_, SIGKILL);
    end();
  }

 private:
  void end() {
    if (std::exchange(ended_, true)) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  pid_t pid_ = -1;
  Fd reading_;
  bool ended_ = false;
};

}  // namespace nacre::test
