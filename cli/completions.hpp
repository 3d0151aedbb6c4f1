// SPDX-License-Identifier: Apache-2.0
//
// Scripts by which shells complete the program's command line, made from the
// command line's own description.
#pragma once

#include <array>
#include <string>

namespace CLI {
class App;
}

namespace nacre {

inline constexpr std::array shells = {"bash", "zsh", "fish"};

// The script for one of `shells`.
std::string completions_for(const std::string& shell, const CLI::App& app);

}  // namespace nacre
