// SPDX-License-Identifier: Apache-2.0
//
// Questions before what cannot be undone.
#pragma once

#include <string>

#include "cli/app.hpp"

namespace nacre {

// Whether the person types `wanted`.  UsageError where there is no terminal: `otherwise` says
// what to do then.
bool confirmed(const Io& io, const std::string& question, const std::string& wanted,
               const std::string& otherwise);

}  // namespace nacre
