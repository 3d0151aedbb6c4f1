// SPDX-License-Identifier: Apache-2.0
//
// The part of MountedFilesystem that says what needs a person, and that goes to sleep with the
// machine.
#include <algorithm>

#include "fs/with_tree.hpp"

namespace nacre {
namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < ' '; }

}  // namespace

// Lines of fs/control.hpp.  No names but those of libraries: it is shown where others may look on.
std::string MountedFilesystem::attention() {
  std::string lines;
  if (remote_->away()) lines += "away\t\t\n";
  for (auto* library : all_libraries()) {
    const auto status = sync_of(library->id).status();
    const auto say = [&](const char* kind, std::string text) {
      std::ranges::replace_if(text, is_control, ' ');  // names are the server's
      lines += std::string(kind) + "\t" + library->id.str() + "\t" + text + "\n";
    };
    const bool wanted = library->keys->wanted() || status.pending.names > 0;
    if (library->keys->locked() && wanted)
      say("password",
          library->name + " is locked; unlock it with `" + unlock_command(*library) + "`");
    if (!status.confirm.empty())
      say("deletions", library->name +
                           ": so many files would be deleted or overwritten on the "
                           "server that nothing is sent; if it is meant, `" +
                           status.confirm + "`, else bring them back");
    if (!status.error.empty() && status.code == Errc::quota) say("quota", status.error);
    if (!status.error.empty() && status.code == Errc::rolled_back) say("rollback", status.error);
    if (status.conflicts > 0)
      say("conflict", library->name + ": " + std::to_string(status.conflicts) +
                          (status.conflicts == 1 ? " file was" : " files were") +
                          " changed here and elsewhere at once; both versions are kept, look for "
                          "(SFConflict) in names");
  }
  return lines;
}

// What waits for the server fails, or the kernel could not put its program to sleep.
void MountedFilesystem::sleep() {
  remote_->rest();
  state_.sync();
}

void MountedFilesystem::wake() {
  remote_->resume();
  for (auto* sync : all_syncs()) sync->server_is_back();
}

}  // namespace nacre
