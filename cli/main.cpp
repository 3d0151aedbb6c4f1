// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "cli/app.hpp"
#include "cli/commands.hpp"

int main(int argc, char** argv) {
  nacre::keep_memory_private();
  const std::vector<std::string> args(argv + (argc > 0 ? 1 : 0), argv + argc);
  const std::string_view name = argc > 0 ? argv[0] : "";
  const auto run =
      name.substr(name.rfind('/') + 1) == "mount.nacre" ? nacre::mount_helper : nacre::run;
  return static_cast<int>(run(args, {std::cin, std::cout, std::cerr}));
}
