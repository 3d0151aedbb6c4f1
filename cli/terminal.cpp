// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace nacre::terminal {
namespace {

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }

}  // namespace

bool is_one(int fd) {
  const char* kind = std::getenv("TERM");
  return ::isatty(fd) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

Size size(int fd) {
  winsize window = {};
  if (::ioctl(fd, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0) return {};
  return {window.ws_col, window.ws_row};
}

bool wants_colour(int fd) {
  const char* none = std::getenv("NO_COLOR");
  return is_one(fd) && (none == nullptr || *none == '\0');
}

std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
}

std::string_view cut(std::string_view text, std::size_t columns) {
  std::size_t end = 0, seen = 0;
  for (; end < text.size(); ++end)
    if (begins_character(text[end]) && seen++ == columns) break;
  return text.substr(0, end);
}

}  // namespace nacre::terminal
