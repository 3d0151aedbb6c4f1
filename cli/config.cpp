// SPDX-License-Identifier: Apache-2.0
#include "cli/config.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <sstream>
#include <system_error>

#include "base/error.hpp"
#include "cli/folders.hpp"

namespace nacre {
namespace {

// Whoever writes it says where changes go to, and which program is asked for passwords.
void check_owner(const std::filesystem::path& file) {
  struct stat st = {};
  if (::stat(file.c_str(), &st) != 0)
    throw Error(Errc::invalid, file.string() + ": " + std::generic_category().message(errno));
  const bool ours = st.st_uid == ::geteuid() || st.st_uid == 0;
  if (!ours || (st.st_mode & 022U) != 0)
    throw Error(Errc::denied,
                file.string() + ": others may write it; it must be yours, and `chmod go-w` it");
}

}  // namespace

std::filesystem::path config_file() { return config_folder() / "nacre.conf"; }

std::vector<ConfigItem> read_config(const std::filesystem::path& file) {
  const auto text = read_text_file(file);
  if (!text) return {};
  check_owner(file);
  CLI::ConfigTOML reader;
  reader.parentSeparator('\n');  // in no line: sections may have dots in their names
  std::istringstream in(*text);
  std::vector<ConfigItem> items;
  for (auto& item : reader.from_config(in)) {
    if (item.name == "++" || item.name == "--") continue;  // a section begins, or ends
    items.push_back({item.parents.empty() ? "" : item.parents.front(), item.name, item.inputs});
  }
  return items;
}

}  // namespace nacre
