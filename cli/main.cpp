// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <string>
#include <vector>

#include "cli/app.hpp"

int main(int argc, char** argv) {
  nacre::keep_memory_private();
  const std::vector<std::string> args(argv + 1, argv + argc);
  return static_cast<int>(nacre::run(args, {std::cin, std::cout, std::cerr}));
}
