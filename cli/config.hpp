// SPDX-License-Identifier: Apache-2.0
//
// The configuration file, nacre.conf(5): options of mounts, by the names that they have
// on the command line.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace nacre {

struct ConfigItem {
  std::string section;  // as it is written between the brackets
  std::string key;
  std::vector<std::string> values;  // "true" where it has none
};

std::filesystem::path config_file();  // $XDG_CONFIG_HOME/nacre/nacre.conf

// In the order of the file; nothing where there is none.  Throws Error{denied} for a file that
// somebody else may write, Error{invalid} for one that cannot be read.
std::vector<ConfigItem> read_config(const std::filesystem::path& file);

}  // namespace nacre
