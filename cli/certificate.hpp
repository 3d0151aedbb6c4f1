// SPDX-License-Identifier: Apache-2.0
//
// A certificate authority for one demo, and a certificate that it signs.
#pragma once

#include <string>

#include "crypto/secret.hpp"

namespace nacre {

struct DemoCertificates {
  std::string ca;      // PEM, for --ca-file
  std::string server;  // PEM, for 127.0.0.1 and localhost
  Secret server_key;   // PEM
};

// Fresh keys each time, valid for a day; the authority's key is thrown away.
// Throws Error{internal}.
DemoCertificates make_demo_certificates();

}  // namespace nacre
