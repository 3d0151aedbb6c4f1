// SPDX-License-Identifier: Apache-2.0
#include "server/check_tree.hpp"

#include <unordered_set>

#include "base/error.hpp"

namespace nacre {
namespace {

constexpr std::size_t names_told = 10;
constexpr int deepest = 1000;

Directory directory(const ObjectStore& store, const LibraryId& library, const ObjectId& id) {
  if (id.is_empty()) return {};
  return read_directory(id, store.object(library, id));
}

// Visits entries of `after` that differ from those of `before`, folders after
// their contents.
template <class Visit>
void walk(const ObjectStore& store, const LibraryId& library, const ObjectId& before,
          const ObjectId& after, int depth, const Visit& visit) {
  if (before == after || after.is_empty()) return;
  if (depth > deepest) throw Error(Errc::corrupt, "tree: deeper than any path can be");
  const auto old_entries = directory(store, library, before);
  for (const auto& entry : directory(store, library, after).entries) {
    const auto* old = old_entries.find(entry.name);
    const bool same_kind = old && old->is_directory() == entry.is_directory();
    if ((same_kind && old->id == entry.id) || entry.id.is_empty()) continue;
    if (entry.is_directory())
      walk(store, library, same_kind ? old->id : ObjectId{}, entry.id, depth + 1, visit);
    visit(entry);
  }
}

}  // namespace

TreeFaults check_tree(const ObjectStore& store, const LibraryId& library, const ObjectId& before,
                      const ObjectId& after) {
  TreeFaults faults;
  std::unordered_set<ObjectId> checked;
  try {
    walk(store, library, before, after, 0, [&](const Dirent& entry) {
      if (entry.is_directory() || !checked.insert(entry.id).second) return;
      const auto file = read_file(entry.id, store.object(library, entry.id));
      if (file.size != entry.size) faults.unreadable = true;
      for (const auto& block : file.blocks) {
        if (!checked.insert(block).second || store.has_block(library, block)) continue;
        if (faults.missing.size() < names_told) faults.missing.push_back(entry.name);
        break;
      }
    });
  } catch (const Error&) {
    faults.unreadable = true;
  }
  return faults;
}

std::vector<ObjectId> changed_objects(const ObjectStore& store, const LibraryId& library,
                                      const ObjectId& before, const ObjectId& after,
                                      bool directories_only) {
  std::vector<ObjectId> ids;
  std::unordered_set<ObjectId> told;
  const auto tell = [&](const ObjectId& id) {
    if (told.insert(id).second) ids.push_back(id);
  };
  walk(store, library, before, after, 0, [&](const Dirent& entry) {
    if (entry.is_directory() || !directories_only) tell(entry.id);
  });
  if (before != after && !after.is_empty()) tell(after);
  return ids;
}

}  // namespace nacre
