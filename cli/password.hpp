// SPDX-License-Identifier: Apache-2.0
//
// Passwords and tokens, straight into a Secret: from a descriptor, from a
// command's output, from a file that nobody else can read, or from the terminal without echo. Never
// from argv.
//
// One line each: the line's end is not part of it.  An empty one, or one of more than
// 4096 bytes, is Error{invalid}; a command that fails is Error{invalid} too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "crypto/secret.hpp"

namespace nacre {

struct PasswordSource {
  std::optional<int> fd;
  std::string command;
  std::string file = {};  // a path; a bare name: in $CREDENTIALS_DIRECTORY (systemd.exec(5))

  [[nodiscard]] bool given() const noexcept { return fd || !command.empty() || !file.empty(); }
};

// Takes one line and leaves the rest to be read; `what` names it in errors.
Secret read_secret_line(int fd, const std::string& what);

// On the terminal of this process, whatever its standard input is.  Settings are
// restored also when a signal ends the program.
Secret ask_secret(const std::string& prompt);
Secret ask_new_secret(const std::string& prompt);  // twice, until both are the same

// One for each prompt, in order: lines of the source where one is given, else asked for.
std::vector<Secret> read_secrets(const PasswordSource& source,
                                 const std::vector<std::string>& prompts);
Secret read_one_secret(const PasswordSource& source, const std::string& prompt);

}  // namespace nacre
