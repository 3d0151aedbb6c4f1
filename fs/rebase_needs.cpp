// SPDX-License-Identifier: Apache-2.0
//
// The half of a rebase that finds out what it will need.
#include "fs/rebase.hpp"
#include "fs/rebase_names.hpp"
#include "remote/conflict_name.hpp"

namespace nacre {

std::vector<const Dirent*> possible_copies(const Directory& directory, const std::string& name,
                                           std::uint64_t size) {
  std::vector<const Dirent*> copies;
  const auto plain = without_conflict_mark(name);
  for (const auto& entry : directory.entries) {
    if (!entry.is_directory() && entry.size == size && entry.name != name &&
        entry.name.size() > plain.size() && without_conflict_mark(entry.name) == plain)
      copies.push_back(&entry);
  }
  return copies;
}

namespace {

// Follows what Rebase will do, by ids alone.
class Needs {
 public:
  Needs(Tree& tree, const Library& library, const KnownIds& known)
      : depot_(tree.depot()), library_(library), known_(known) {}

  // `ours`: the published directory that our folder's changes lie over; `node`: null where
  // nothing of it is in memory.
  void folder(const Node* node, const ObjectId& ours, const ObjectId& base, const ObjectId& next) {
    if (base == next || ours == next) return;
    auto names = node ? names_in(*node->folder) : std::set<std::string>();
    const bool restated = ours != base;
    if (names.empty() && !restated) return;
    const auto old_entries = get(base), new_entries = get(next), our_entries = get(ours);
    if (!old_entries || !new_entries || !our_entries) return;
    if (restated) {
      for (const auto& entry : our_entries->entries) names.insert(entry.name);
      for (const auto& entry : old_entries->entries) names.insert(entry.name);
    }
    for (const auto& name : names) {
      const auto* was = old_entries->find(name);
      const auto* theirs = new_entries->find(name);
      if (same(was, theirs)) continue;
      const auto* child = child_of(node, name);
      if (child && !child->is_directory()) {
        file(*child, was, theirs, *new_entries);
        continue;
      }
      const bool changed = node && node->folder->changes.contains(name);
      const auto* stands = changed ? nullptr : our_entries->find(name);
      if (child && is_folder(theirs))
        folder(child, child->id, changed || restated ? common_base(was) : child->id, theirs->id);
      else if (child)
        folder(child, child->id, child->id, {});
      else if (is_folder(stands) && is_folder(theirs))
        folder(nullptr, stands->id, common_base(was), theirs->id);
      else if (!stands && is_folder(was) && is_folder(theirs))
        removed(was->id, theirs->id);
    }
  }

  RebaseNeeds needs;

 private:
  static const Node* child_of(const Node* node, const std::string& name) {
    if (!node) return nullptr;
    const auto found = node->folder->children.find(name);
    return found == node->folder->children.end() ? nullptr : found->second;
  }

  void file(const Node& child, const Dirent* base, const Dirent* theirs, const Directory& next) {
    if (!theirs || !is_dirty(child) || (is_file(base) && base->id == theirs->id)) return;
    const auto size = child.current_size();
    if ((theirs->is_directory() || theirs->size != size) &&
        possible_copies(next, child.name, size).empty())
      return;
    const auto found = known_.find(child.number);
    if (found == known_.end() || found->second.first != child.content->version())
      needs.ids.push_back(child.number);
  }

  void removed(const ObjectId& base, const ObjectId& theirs) {
    if (base == theirs) return;
    const auto old_entries = get(base), new_entries = get(theirs);
    if (!old_entries || !new_entries) return;
    for (const auto& entry : new_entries->entries) {
      const auto* before = old_entries->find(entry.name);
      if (is_folder(before) && entry.is_directory()) removed(before->id, entry.id);
    }
  }

  std::shared_ptr<const Directory> get(const ObjectId& id) {
    if (id.is_empty()) return depot_.directory(library_.id, id);  // asks nobody
    auto directory = depot_.known_directory(library_.id, id);
    if (!directory) needs.directories.push_back(id);
    return directory;
  }

  Depot& depot_;
  const Library& library_;
  const KnownIds& known_;
};

}  // namespace

RebaseNeeds rebase_needs(Tree& tree, Library& library, const ObjectId& root,
                         const KnownIds& known) {
  Needs needs(tree, library, known);
  needs.folder(library.top, library.top->id, library.top->id, root);
  return std::move(needs.needs);
}

}  // namespace nacre
