// SPDX-License-Identifier: Apache-2.0
//
// Places between two steps where a test can have the process die as by kill -9:
// with NACRE_FAILPOINT=NAME:N in the environment the Nth passage of NAME kills it.
// Costs one comparison where it is not set.  Any thread may call.
#pragma once

#include <string_view>

namespace nacre {

void failpoint(std::string_view name) noexcept;

}  // namespace nacre
