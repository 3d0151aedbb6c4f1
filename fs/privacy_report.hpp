// SPDX-License-Identifier: Apache-2.0
//
// What `nacre privacy` says of a file or folder: who can see what of it, on the server, on the way
// there, and on this machine.  Pure functions over facts.
#pragma once

#include <string>

#include "fs/path_report.hpp"

namespace nacre {

struct PrivacyFacts {
  PathFacts path;
  int encryption = 0;  // version; 0: none
  std::string source;  // an address, or dir:PATH
  std::string cache_dir, state_dir, device_key_place;
};

std::string privacy_text(const PrivacyFacts& facts);
std::string privacy_json(const PrivacyFacts& facts);

}  // namespace nacre
