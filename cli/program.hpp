// SPDX-License-Identifier: Apache-2.0
//
// Running this program again, as a person would from a shell.  Children are in
// process groups of their own: Ctrl-C at the terminal is for the caller to hand on.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "crypto/secret.hpp"

namespace nacre {

// Where children find a password given to them.
inline constexpr int secret_fd = 3;

class Program {
 public:
  // Starts `nacre ARGS...`; its output is read through next_line() and rest().  `secret`
  // may be null.  Throws Error{internal}.
  explicit Program(const std::vector<std::string>& args, const Secret* secret = nullptr);
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program();  // ends it: asks, and after ten seconds insists

  // What it wrote to standard output: the next line, or all up to its end.  Error{interrupted} when
  // nothing comes for so long.
  std::string next_line(std::chrono::seconds patience);
  std::string rest(std::chrono::seconds patience);

  int wait();  // for its end; its exit status, or 128 and a signal's number

 private:
  bool read_more(std::chrono::seconds patience);

  pid_t pid_ = -1;
  Fd output_;
  std::string pending_;
};

}  // namespace nacre
