// SPDX-License-Identifier: Apache-2.0
//
// Answers a request as the rules of server/faults.hpp want it: wrong.
#pragma once

#include <httplib.h>

#include <functional>
#include <string>

#include "server/call.hpp"
#include "server/faults.hpp"

namespace nacre {

// Carries a request out as it should be.
using CarryOut = std::function<void(const httplib::Request&, httplib::Response&, std::string body)>;

// `faults` outlives the connection.
void answer_faulty(Faults& faults, ServerState& state, const httplib::Request& request,
                   httplib::Response& response, std::string body, const CarryOut& carry_out);

}  // namespace nacre
