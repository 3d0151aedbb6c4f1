// SPDX-License-Identifier: Apache-2.0
//
// What the two halves of a rebase (fs/rebase.hpp) ask of one name: the one that finds out what
// must be fetched for it, and the one that does it.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "fs/tree.hpp"

namespace nacre {

inline bool is_folder(const Dirent* entry) { return entry && entry->is_directory(); }
inline bool is_file(const Dirent* entry) { return entry && !entry->is_directory(); }

inline bool same(const Dirent* a, const Dirent* b) {
  if (!a || !b) return a == b;
  return a->id == b->id && a->mode == b->mode && a->mtime == b->mtime && a->size == b->size;
}

// The names of a folder that are in memory, changed or not.
inline std::set<std::string> names_in(const Folder& folder) {
  std::set<std::string> names;
  for (const auto& [name, node] : folder.children) names.insert(name);
  for (const auto& [name, change] : folder.changes) names.insert(name);
  return names;
}

inline bool is_dirty(const Node& file) { return file.content && file.content->dirty(); }

// The published directory that a folder of ours is compared with: the one that stood at its
// name, or none.
inline ObjectId common_base(const Dirent* base) { return is_folder(base) ? base->id : ObjectId{}; }

// What a conflict copy of `name` with `size` bytes could be in this directory.
std::vector<const Dirent*> possible_copies(const Directory& directory, const std::string& name,
                                           std::uint64_t size);

}  // namespace nacre
