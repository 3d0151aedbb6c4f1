// SPDX-License-Identifier: Apache-2.0
//
// The program under the name mount.nacre: what mount(8), fstab(5) and systemd call.
#include <span>

#include "cli/commands.hpp"

namespace nacre {
namespace {

constexpr const char* usage_text =
    "mount.nacre: give SOURCE DIR [-sfnv] [-o OPTION,...]; see mount.nacre(8)";

// The flags of mount(8)'s call that stand for themselves: true when it is to be faked.
bool take_flags(const std::string& word, MountOptions& options) {
  bool fake = false;
  for (const char flag : word.substr(1)) {
    if (flag == 's')
      options.sloppy = true;
    else if (flag == 'f')
      fake = true;
    else if (flag != 'n' && flag != 'v')
      throw UsageError(std::string(usage_text));
  }
  return fake;
}

}  // namespace

Exit mount_helper(std::span<const std::string> args, const Io& io) {
  return as_exit(io, [&] {
    MountOptions options;
    bool fake = false;
    for (std::size_t i = 0; i < args.size(); ++i) {
      const auto& word = args[i];
      if (word.size() < 2 || word[0] != '-') {
        options.places.push_back(word);
      } else if (word == "-o" || word == "-t") {
        if (++i == args.size()) throw UsageError(word + ": its value is missing");
        if (word == "-o") options.options.push_back(args[i]);
      } else {
        fake = take_flags(word, options) || fake;
      }
    }
    if (options.places.size() != 2) throw UsageError(std::string(usage_text));
    // What fstab(5) writes where a source has no name: the only account there is.
    if (options.places[0] == "none") options.places.erase(options.places.begin());
    return fake ? Exit::ok : mount(options, io);
  });
}

}  // namespace nacre
