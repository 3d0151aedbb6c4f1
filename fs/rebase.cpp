// SPDX-License-Identifier: Apache-2.0
#include "fs/rebase.hpp"

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "remote/objects.hpp"

namespace nacre {
namespace {

bool same(const Dirent* a, const Dirent* b) {
  if (!a || !b) return a == b;
  return a->id == b->id && a->mode == b->mode && a->mtime == b->mtime && a->size == b->size;
}

// The names of a folder that are in memory, changed or not.
std::set<std::string> names_in(const Folder& folder) {
  std::set<std::string> names;
  for (const auto& [name, node] : folder.children) names.insert(name);
  for (const auto& [name, change] : folder.changes) names.insert(name);
  return names;
}

bool is_dirty(const Node& file) { return file.content && file.content->dirty(); }

// Whether a changed folder can be laid over theirs: it was made from the same
// published one, or from none.
bool mergeable(const Node& ours, const Dirent* base) {
  return ours.id.is_empty() || (base && base->is_directory() && ours.id == base->id);
}

class Needs {
 public:
  Needs(Tree& tree, const Library& library, const KnownIds& known)
      : depot_(tree.depot()), library_(library), known_(known) {}

  void folder(const Node& node, const ObjectId& next) {
    const auto names = names_in(*node.folder);
    if (node.id == next || names.empty()) return;
    const auto old_entries = get(node.id), new_entries = get(next);
    if (!old_entries || !new_entries) return;
    for (const auto& name : names) {
      const auto* base = old_entries->find(name);
      const auto* theirs = new_entries->find(name);
      if (same(base, theirs)) continue;
      const auto change = node.folder->changes.find(name);
      if (change != node.folder->changes.end() && change->second.removed) {
        if (base && theirs && base->is_directory() && theirs->is_directory())
          removed(base->id, theirs->id);
        continue;
      }
      const auto& child = *node.folder->children.at(name);
      if (child.is_directory()) {
        if (!theirs)
          folder(child, {});
        else if (theirs->is_directory())
          folder(child, theirs->id);
      } else if (theirs && !theirs->is_directory() && is_dirty(child) &&
                 child.current_size() == theirs->size && !(base && base->id == theirs->id)) {
        const auto found = known_.find(child.number);
        if (found == known_.end() || found->second.first != child.content->version())
          needs.ids.push_back(child.number);
      }
    }
  }

  RebaseNeeds needs;

 private:
  void removed(const ObjectId& base, const ObjectId& theirs) {
    if (base == theirs) return;
    const auto old_entries = get(base), new_entries = get(theirs);
    if (!old_entries || !new_entries) return;
    for (const auto& entry : new_entries->entries) {
      const auto* before = old_entries->find(entry.name);
      if (before && before->is_directory() && entry.is_directory()) removed(before->id, entry.id);
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

class Rebase {
 public:
  Rebase(Tree& tree, Library& library, const KnownIds& known, Notices& notices)
      : tree_(tree), library_(library), known_(known), notices_(notices) {}

  void folder(Node& node, const ObjectId& next) {
    if (node.id == next) return;
    if (const auto names = names_in(*node.folder); !names.empty()) merge(node, next, names);
    node.id = next;
    notices_.data.push_back(node.ino);
  }

  std::vector<std::string> conflicts;

 private:
  void merge(Node& node, const ObjectId& next, const std::set<std::string>& names) {
    const auto old_entries = get(node.id), new_entries = get(next);
    for (const auto& name : names) {
      const auto* base = old_entries->find(name);
      const auto* theirs = new_entries->find(name);
      if (same(base, theirs)) continue;
      const auto change = node.folder->changes.find(name);
      if (change == node.folder->changes.end())
        unchanged_here(node, name, theirs);
      else if (change->second.removed)
        removed_here(node, name, base, theirs);
      else if (node.folder->children.at(name)->is_directory())
        changed_folder(node, name, base, theirs, *new_entries);
      else
        changed_file(node, name, base, theirs, *new_entries);
    }
  }

  std::shared_ptr<const Directory> get(const ObjectId& id) {
    auto directory = id.is_empty() ? tree_.depot().directory(library_.id, id)
                                   : tree_.depot().known_directory(library_.id, id);
    if (!directory) throw Error(Errc::busy, "merge: a directory is no longer at hand");
    return directory;
  }

  void adopt(Node& child, const Dirent& theirs) {
    child.id = theirs.id;
    child.mtime = theirs.mtime;
    child.modifier = theirs.modifier;
    if (!child.is_directory()) {
      child.mode = theirs.is_executable() ? mode_executable : mode_file;
      child.size = theirs.size;
      if (child.content) child.content->replace(theirs.id, theirs.size);
    }
    notices_.data.push_back(child.ino);
  }

  void leave(Node& parent, Node& child) {
    notices_.entries.emplace_back(parent.ino, child.name);
    tree_.detach(child);
    tree_.release_if_unused(child);
  }

  void unchanged_here(Node& parent, const std::string& name, const Dirent* theirs) {
    auto& child = *parent.folder->children.at(name);
    if (!theirs || theirs->is_directory() != child.is_directory()) {
      leave(parent, child);
      return;
    }
    if (child.is_directory()) folder(child, theirs->id);
    adopt(child, *theirs);
  }

  void removed_here(Node& parent, const std::string& name, const Dirent* base,
                    const Dirent* theirs) {
    if (!theirs) {
      tree_.drop_change(parent, name);
      return;
    }
    const bool folders = base && base->is_directory() && theirs->is_directory();
    if (folders && !keeps_something(base->id, theirs->id))
      return;  // nothing new in it: stays removed
    tree_.drop_change(parent, name);
    if (folders) remove_what_was_there(parent, *theirs, base->id);
    notices_.entries.emplace_back(parent.ino, name);
  }

  // Whether their version of a folder that was removed here has anything that
  // we did not know when we removed it.
  bool keeps_something(const ObjectId& base, const ObjectId& theirs) {
    if (base == theirs) return false;
    const auto old_entries = get(base), new_entries = get(theirs);
    return std::ranges::any_of(new_entries->entries, [&](const Dirent& entry) {
      const auto* before = old_entries->find(entry.name);
      if (before && before->id == entry.id && before->is_directory() == entry.is_directory())
        return false;
      if (before && before->is_directory() && entry.is_directory())
        return keeps_something(before->id, entry.id);
      return true;
    });
  }

  void remove_what_was_there(Node& parent, const Dirent& theirs, const ObjectId& base) {
    auto& child = tree_.materialize(parent, theirs);
    const auto old_entries = get(base), new_entries = get(theirs.id);
    for (const auto& entry : new_entries->entries) {
      const auto* before = old_entries->find(entry.name);
      if (!before || before->is_directory() != entry.is_directory()) continue;
      if (before->id == entry.id ||
          (entry.is_directory() && !keeps_something(before->id, entry.id)))
        tree_.set_change(child, entry.name, {.removed = true});
      else if (entry.is_directory())
        remove_what_was_there(child, entry, before->id);
    }
    tree_.release_if_unused(child);
  }

  void changed_folder(Node& parent, const std::string& name, const Dirent* base,
                      const Dirent* theirs, const Directory& listing) {
    auto& child = *parent.folder->children.at(name);
    if (theirs && theirs->is_directory() && child.id == theirs->id)
      return settle(parent, child, *theirs);
    if (theirs && theirs->is_directory() && mergeable(child, base)) {
      folder(child, theirs->id);
      return settle(parent, child, *theirs);
    }
    if (theirs) return conflict(parent, child, listing);
    // They removed it.  What was changed here stays, and the way to it.
    if (!base || !base->is_directory() || child.id != base->id) return;
    folder(child, {});
    if (!child.folder->changes.empty()) return;
    tree_.drop_change(parent, name);
    leave(parent, child);
  }

  // Our folder stands where theirs does; is there still anything to send?
  void settle(Node& parent, Node& child, const Dirent& theirs) {
    child.mtime = std::max(child.mtime, theirs.mtime);
    if (!child.folder->changes.empty()) return;
    child.mtime = theirs.mtime;
    tree_.drop_change(parent, child.name);
    notices_.data.push_back(child.ino);
    tree_.release_if_unused(child);
  }

  void changed_file(Node& parent, const std::string& name, const Dirent* base, const Dirent* theirs,
                    const Directory& listing) {
    auto& child = *parent.folder->children.at(name);
    if (!theirs) return;  // an edit beats a delete
    if (theirs->is_directory()) return conflict(parent, child, listing);
    const auto known = known_.find(child.number);
    if (is_dirty(child) && known != known_.end() && known->second.second == theirs->id) {
      std::vector<State::Change> erased;
      if (child.content->published(known->second.first, theirs->id, theirs->size, erased)) {
        child.id = theirs->id;
        child.dirty_since = 0;
        tree_.add_staged(std::move(erased));
      }
    }
    const bool base_is_file = base && !base->is_directory();
    const bool our_mode = !base_is_file || child.mode != base->mode;
    if (!is_dirty(child) && (child.id == theirs->id || (base_is_file && child.id == base->id))) {
      // The contents agree, or only theirs changed: a mode of ours is kept.
      const auto mode = child.mode;
      adopt(child, *theirs);
      if (our_mode && mode != child.mode) {
        child.mode = mode;
        tree_.touch(child);
      } else {
        tree_.drop_change(parent, name);
      }
      return;
    }
    if (base_is_file && base->id == theirs->id) {  // only their attributes changed
      if (!our_mode) child.mode = theirs->is_executable() ? mode_executable : mode_file;
      notices_.data.push_back(child.ino);
      return;
    }
    conflict(parent, child, listing);
  }

  // Theirs keeps the name, ours moves to a conflict name.
  void conflict(Node& parent, Node& child, const Directory& listing) {
    const auto old_name = child.name;
    const auto who = tree_.user().substr(0, tree_.user().find('@'));
    auto mtime = child.mtime;
    auto name = conflict_name(old_name, who, mtime);
    const auto taken = [&] {
      return parent.folder->children.contains(name) || parent.folder->changes.contains(name) ||
             listing.find(name) != nullptr;
    };
    while (taken()) name = conflict_name(old_name, who, ++mtime);
    tree_.detach(child);
    tree_.drop_change(parent, old_name);
    tree_.attach(child, parent, name);
    tree_.touch(child);
    notices_.entries.emplace_back(parent.ino, old_name);
    notices_.entries.emplace_back(parent.ino, name);
    conflicts.push_back(name);
  }

  Tree& tree_;
  Library& library_;
  const KnownIds& known_;
  Notices& notices_;
};

}  // namespace

void Notices::tell(Kernel& kernel) const {
  for (const auto& [parent, name] : entries) kernel.entry_changed(parent, name);
  for (const auto ino : data) kernel.data_changed(ino);
}

RebaseNeeds rebase_needs(Tree& tree, Library& library, const ObjectId& root,
                         const KnownIds& known) {
  Needs needs(tree, library, known);
  needs.folder(*library.top, root);
  return std::move(needs.needs);
}

std::vector<std::string> rebase(Tree& tree, Library& library, const Commit& commit,
                                const KnownIds& known, Notices& notices) {
  Rebase work(tree, library, known, notices);
  work.folder(*library.top, commit.root);
  tree.set_base(library, commit);
  return std::move(work.conflicts);
}

}  // namespace nacre
