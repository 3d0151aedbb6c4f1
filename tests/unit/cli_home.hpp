// SPDX-License-Identifier: Apache-2.0
//
// A home of the test's own, and the program run in it.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.hpp"
#include "cli/app.hpp"
#include "temp_dir.hpp"

namespace nacre::test {

struct Home {
  Home() {
    for (const char* kind : {"CONFIG_HOME", "STATE_HOME", "CACHE_HOME", "RUNTIME_DIR"})
      ::setenv((std::string("XDG_") + kind).c_str(), (dir.path() / kind).c_str(), 1);
    ::setenv("DBUS_SESSION_BUS_ADDRESS", "disabled:", 1);  // no keyring of anybody
  }

  Exit run(std::vector<std::string> args) {
    std::istringstream in;
    std::ostringstream out_stream, err_stream;
    const auto exit = nacre::run(args, {in, out_stream, err_stream});
    out = out_stream.str();
    err = err_stream.str();
    return exit;
  }

  [[nodiscard]] std::filesystem::path file(std::string_view name) const {
    return dir.path() / name;
  }

  TempDir dir;
  std::string out, err;
};

// The reading end of a pipe that holds `text` and nothing after it.
inline Fd pipe_with(std::string_view text) {
  int ends[2] = {};
  if (::pipe(ends) != 0) throw std::runtime_error("no pipe");
  const Fd to(ends[1]);
  if (::write(to.get(), text.data(), text.size()) < 0) throw std::runtime_error("no pipe");
  return Fd(ends[0]);
}

}  // namespace nacre::test
