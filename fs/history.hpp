// SPDX-License-Identifier: Apache-2.0
//
// What became of one path from commit to commit.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "fs/depot.hpp"

namespace nacre {

struct PathVersion {
  enum class Change { added, modified, removed };
  Commit commit;  // that made it
  Change change = Change::added;
  Dirent entry;  // as it was then; of a removed one: as it was before
};

struct HistoryPage {
  std::vector<PathVersion> versions;  // the newest first
  std::optional<ObjectId> next;       // the commit to go on from; nullopt: that was all
  bool forgotten = false;             // the server has no commits before
};

// What stands at a path under a root; may wait.
std::optional<Dirent> entry_at(Depot& depot, const LibraryId& library, const ObjectId& root,
                               std::string_view path);

// At most `most` versions, and a bounded number of commits looked at, from the commit `from` on
// back.  Where two lines of history were merged, the one is followed that the path came from.
// `told` hears at how many commits it has looked.
HistoryPage history_of(Depot& depot, const LibraryId& library, std::string_view path,
                       const ObjectId& from, std::size_t most,
                       const std::function<void(std::uint64_t)>& told = {});

}  // namespace nacre
