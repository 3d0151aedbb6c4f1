// SPDX-License-Identifier: Apache-2.0
//
// What the terminal is like, if there is one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace nacre::terminal {

// Whether it is one that a line can be written over on.
bool is_one(int fd);

struct Size {
  std::size_t columns = 80, rows = 24;
};
Size size(int fd);

// Whether colours are wanted there (https://no-color.org).
bool wants_colour(int fd);

// At most so many characters of UTF-8 text.
std::string_view cut(std::string_view text, std::size_t columns);
std::size_t width(std::string_view text);

}  // namespace nacre::terminal
