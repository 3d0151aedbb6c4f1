// SPDX-License-Identifier: Apache-2.0
//
// The server's connections, of which the HTTP library does not tell the sockets: they are found
// among this process's descriptors by their two ends.
#pragma once

#include <httplib.h>

namespace nacre {

// Ends a request's connection at once and by a reset: its client gets no answer, nor a clean end.
// Called by whoever answers the request.
void reset_connection(const httplib::Request& request);

// Reads no more from any connection to this port: idle ones end, and what is being answered still
// gets its answer.
void hang_up(int port) noexcept;

}  // namespace nacre
