// SPDX-License-Identifier: Apache-2.0
//
// Whether all that a new commit refers to is there: every object and block that
// its parent does not have already.
#pragma once

#include <string>
#include <vector>

#include "remote/object_store.hpp"

namespace nacre {

struct TreeFaults {
  bool unreadable = false;           // an fs object is missing or malformed
  std::vector<std::string> missing;  // names of files that lack blocks, some
};

TreeFaults check_tree(const ObjectStore& store, const LibraryId& library, const ObjectId& before,
                      const ObjectId& after);

// The ids of fs objects under `after` that are not at the same place under
// `before`; children before their folders.
std::vector<ObjectId> changed_objects(const ObjectStore& store, const LibraryId& library,
                                      const ObjectId& before, const ObjectId& after,
                                      bool directories_only);

}  // namespace nacre
