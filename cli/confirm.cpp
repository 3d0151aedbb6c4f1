// SPDX-License-Identifier: Apache-2.0
#include "cli/confirm.hpp"

#include <unistd.h>

#include <istream>
#include <ostream>

#include "cli/commands.hpp"

namespace nacre {

bool confirmed(const Io& io, const std::string& question, const std::string& wanted,
               const std::string& otherwise) {
  if (::isatty(STDIN_FILENO) != 1) throw UsageError(otherwise);
  io.out << question << ' ' << std::flush;
  std::string answer;
  std::getline(io.in, answer);
  return answer == wanted;
}

}  // namespace nacre
