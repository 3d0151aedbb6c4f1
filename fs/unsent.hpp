// SPDX-License-Identifier: Apache-2.0
//
// What a state has that no server has, found by its keys alone: no password is needed.
#pragma once

#include <map>

#include "base/ids.hpp"
#include "cache/state.hpp"

namespace nacre {

// How many names of each library are changed; those that have none are left out.
std::map<LibraryId, std::size_t> unsent_names(State& state);

}  // namespace nacre
