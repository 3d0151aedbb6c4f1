// SPDX-License-Identifier: Apache-2.0
#include "fs/rebase.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "fs/rebase_names.hpp"
#include "remote/conflict_name.hpp"

namespace nacre {
namespace {

bool same_content(const Dirent& a, const Dirent& b) {
  return a.id == b.id && a.is_directory() == b.is_directory();
}

// Whether a program here may still write to this file: theirs must not take it away.
bool is_held(const Node& file) { return file.writers > 0 || is_dirty(file); }

// A conflict copy of the folder `name`, published as `id`, in this directory.
const Dirent* folder_copy(const Directory& directory, const std::string& name, const ObjectId& id) {
  if (id.is_empty()) return nullptr;
  const auto found = std::ranges::find_if(directory.entries, [&](const Dirent& entry) {
    return entry.is_directory() && entry.id == id && entry.name != name &&
           without_conflict_mark(entry.name) == without_conflict_mark(name);
  });
  return found == directory.entries.end() ? nullptr : &*found;
}

class Rebase {
 public:
  Rebase(Tree& tree, Library& library, const KnownIds& known, Notices& notices)
      : tree_(tree), library_(library), known_(known), notices_(notices) {}

  void folder(Node& node, const ObjectId& next) {
    if (node.id == next) return;
    if (const auto names = names_in(*node.folder); !names.empty()) merge(node, next, names);
    node.id = next;
    tree_.stage_again(node);  // a changed folder's record says what its changes lie over
    notices_.data.push_back(node.ino);
  }

  // Frees what nobody needs any more; only now, as that may free folders above it too.
  void release_unused() {
    for (const auto ino : unused_) tree_.forget(ino, 0);
  }

  std::vector<std::string> conflicts;

 private:
  // One name of a folder: what it was, and what they made of it.
  struct Place {
    Node& parent;
    const std::string& name;
    const Dirent *base, *theirs;
    const Directory& listing;  // theirs
    std::uint64_t generation;  // of our change
  };

  void merge(Node& node, const ObjectId& next, const std::set<std::string>& names) {
    const auto old_entries = get(node.id), new_entries = get(next);
    for (const auto& name : names) {
      const auto* base = old_entries->find(name);
      const auto* theirs = new_entries->find(name);
      if (same(base, theirs)) continue;
      const auto found = node.folder->changes.find(name);
      const bool changed = found != node.folder->changes.end();
      const Place place{node,   name,         base,
                        theirs, *new_entries, changed ? found->second.generation : 0};
      if (changed && found->second.removed) {
        removed_here(place);
        continue;
      }
      auto& child = *node.folder->children.at(name);
      if (!changed && unchanged_here(place, child)) continue;
      if (child.is_directory())
        changed_folder(place, child);
      else
        changed_file(place, child);
    }
  }

  std::shared_ptr<const Directory> get(const ObjectId& id) {
    auto directory = id.is_empty() ? tree_.depot().directory(library_.id, id)
                                   : tree_.depot().known_directory(library_.id, id);
    if (!directory) throw Error(Errc::busy, "merge: a directory is no longer at hand");
    return directory;
  }

  // False: somebody has just written to it, and it is no longer as it was published.
  [[nodiscard]] bool adopt(Node& child, const Dirent& theirs) {
    if (child.content) {
      try {
        child.content->replace(theirs.id, theirs.size);
      } catch (const Error&) {
        return false;
      }
    }
    child.id = theirs.id;
    child.mtime = theirs.mtime;
    child.modifier = theirs.modifier;
    if (!child.is_directory()) {
      child.mode = theirs.is_executable() ? mode_executable : mode_file;
      child.size = theirs.size;
    }
    notices_.data.push_back(child.ino);
    return true;
  }

  // Out of the tree with all that is below: nobody shall make anything in there any more.
  void leave(Node& child) {
    if (child.is_directory()) {
      while (!child.folder->children.empty()) leave(*child.folder->children.begin()->second);
    }
    notices_.entries.emplace_back(child.parent->ino, child.name);
    tree_.detach(child);
    tree_.release_if_unused(child);
  }

  // Files that a program has open for writing count as changed where they would go.
  bool hold_open_files(Node& node) {
    if (!node.is_directory()) {
      if (!is_held(node)) return false;
      tree_.touch(node);
      return true;
    }
    bool any = false;
    for (const auto& [name, child] : node.folder->children) any |= hold_open_files(*child);
    return any;
  }

  // False: it is changed after all.
  bool unchanged_here(const Place& place, Node& child) {
    const auto* theirs = place.theirs;
    if (!theirs || theirs->is_directory() != child.is_directory()) {
      if (hold_open_files(child)) return false;
      leave(child);
      return true;
    }
    if (child.is_directory()) folder(child, theirs->id);
    if (adopt(child, *theirs)) return true;
    tree_.touch(child);
    return false;
  }

  void removed_here(const Place& place) {
    auto& [parent, name, base, theirs, listing, generation] = place;
    if (!theirs) {
      tree_.drop_change(parent, name);
      return;
    }
    const bool folders = is_folder(base) && theirs->is_directory();
    // Nothing new in it: stays removed.
    if (base && same_content(*base, *theirs)) return;
    if (folders && !keeps_something(base->id, theirs->id)) return;
    tree_.drop_change(parent, name);
    if (folders) remove_what_was_there(parent, *theirs, base->id, generation);
    notices_.entries.emplace_back(parent.ino, name);
  }

  // Whether their version of a folder that was removed here has anything that
  // we did not know when we removed it.
  bool keeps_something(const ObjectId& base, const ObjectId& theirs) {
    if (base == theirs) return false;
    const auto old_entries = get(base), new_entries = get(theirs);
    return std::ranges::any_of(new_entries->entries, [&](const Dirent& entry) {
      const auto* before = old_entries->find(entry.name);
      if (before && same_content(*before, entry)) return false;
      if (is_folder(before) && entry.is_directory()) return keeps_something(before->id, entry.id);
      return true;
    });
  }

  void remove_what_was_there(Node& parent, const Dirent& theirs, const ObjectId& base,
                             std::uint64_t generation) {
    auto& child = tree_.materialize(parent, theirs);
    const auto old_entries = get(base), new_entries = get(theirs.id);
    for (const auto& entry : new_entries->entries) {
      const auto* before = old_entries->find(entry.name);
      if (!before || before->is_directory() != entry.is_directory()) continue;
      if (before->id == entry.id ||
          (entry.is_directory() && !keeps_something(before->id, entry.id)))
        tree_.set_change(child, entry.name, {true, generation});
      else if (entry.is_directory())
        remove_what_was_there(child, entry, before->id, generation);
    }
    unused_.push_back(child.ino);
  }

  void changed_folder(const Place& place, Node& child) {
    auto& [parent, name, base, theirs, listing, generation] = place;
    if (is_folder(theirs)) {
      if (const auto common = common_base(base); child.id != theirs->id && common != theirs->id) {
        if (child.id != common) restate(child, common, generation);
        folder(child, theirs->id);
      }
      if (child.id == theirs->id) settle(parent, child, *theirs);
      return;
    }
    // A server that merged has moved it out of the way of their file: so do we.
    if (const auto* copy = theirs ? folder_copy(listing, name, child.id) : nullptr;
        copy && go_on_as(*copy, place, child))
      return;
    // They removed it, or put a file there.  What was changed here stays, and the way to it.
    if (is_folder(base) && child.id == base->id) {
      folder(child, {});
      if (child.folder->changes.empty()) {
        tree_.drop_change(parent, name);
        leave(child);
        return;
      }
    }
    if (theirs) conflict(place, child);
  }

  // Says the same of our folder as changes of another published directory.
  void restate(Node& node, const ObjectId& base, std::uint64_t generation) {
    const auto ours = get(node.id), other = get(base);
    auto& own = *node.folder;
    for (const auto& entry : ours->entries) {
      const auto* there = other->find(entry.name);
      if (own.changes.contains(entry.name) || same(there, &entry)) continue;
      if (!own.children.contains(entry.name)) tree_.materialize(node, entry);
      tree_.set_change(node, entry.name, {false, generation});
    }
    for (const auto& entry : other->entries) {
      if (!own.changes.contains(entry.name) && !ours->find(entry.name))
        tree_.set_change(node, entry.name, {true, generation});
    }
    node.id = base;
  }

  // Our folder stands where theirs does; is there still anything to send?
  void settle(Node& parent, Node& child, const Dirent& theirs) {
    child.mtime = std::max(child.mtime, theirs.mtime);
    if (!child.folder->changes.empty()) return;
    child.mtime = theirs.mtime;
    tree_.drop_change(parent, child.name);
    notices_.data.push_back(child.ino);
    unused_.push_back(child.ino);
  }

  void changed_file(const Place& place, Node& child) {
    auto& [parent, name, base, theirs, listing, generation] = place;
    const bool content_of_base = is_file(base) && !is_dirty(child) && child.id == base->id;
    if (!is_file(theirs)) {
      if (content_of_base && !is_held(child)) {  // a delete beats a change of attributes
        tree_.drop_change(parent, name);
        leave(child);
      } else if (theirs) {
        conflict(place, child);
      }  // else an edit beats a delete
      return;
    }
    if (is_dirty(child) && known_id(child) == theirs->id) become_clean(child, *theirs);
    if (!is_dirty(child) && (child.id == theirs->id || content_of_base) &&
        take_theirs(place, child))
      return;
    if (is_file(base) && base->id == theirs->id) {  // only their attributes changed
      if ((child.mode == mode_executable) == base->is_executable())
        child.mode = theirs->is_executable() ? mode_executable : mode_file;
      tree_.stage_again(child);
      notices_.data.push_back(child.ino);
      return;
    }
    if (is_dirty(child) && child.id == theirs->id) {  // ours was made from theirs
      tree_.stage_again(child);
      return;
    }
    conflict(place, child);
  }

  // The contents agree, or only theirs changed; of the attributes, ours stay where only we changed
  // them.  False: somebody has just written to it.
  [[nodiscard]] bool take_theirs(const Place& place, Node& child) {
    const auto& [parent, name, base, theirs, listing, generation] = place;
    const auto mode = child.mode;
    const auto mtime = child.mtime;
    const bool contents_stay = is_file(base) && base->id == theirs->id && child.id == base->id;
    if (!adopt(child, *theirs)) return false;
    const bool our_mode = is_file(base) ? (mode == mode_executable) != base->is_executable()
                                        : mode == mode_executable;
    const bool our_mtime = contents_stay && mtime != base->mtime;
    if (our_mode) child.mode = mode;
    if (our_mtime) child.mtime = mtime;
    if ((child.mode == mode_executable) != theirs->is_executable() || child.mtime != theirs->mtime)
      tree_.set_change(parent, name, {false, generation});
    else
      tree_.drop_change(parent, name);
    return true;
  }

  // The id of what a dirty file has in it, if it was asked for and nothing was written since.
  std::optional<ObjectId> known_id(const Node& file) const {
    const auto found = known_.find(file.number);
    if (found == known_.end() || found->second.first != file.content->version()) return {};
    return found->second.second;
  }

  // What was written here is in the published file `theirs`; what is written just now lies over it.
  void become_clean(Node& child, const Dirent& theirs) {
    std::vector<State::Change> erased;
    const auto version = known_.at(child.number).first;
    const bool clean = child.content->published(version, theirs.id, theirs.size, erased);
    tree_.add_staged(std::move(erased));
    child.id = theirs.id;
    child.size = theirs.size;
    if (clean) child.dirty_since = 0;
  }

  // Theirs keeps the name, ours moves to a conflict name.
  void conflict(const Place& place, Node& child) {
    auto& [parent, old_name, base, theirs, listing, generation] = place;
    if (stands_as_copy(place, child)) return;
    const auto who = tree_.user().substr(0, tree_.user().find('@'));
    const auto name =
        free_conflict_name(old_name, who, child.mtime, [&](const std::string& wanted) {
          return parent.folder->children.contains(wanted) ||
                 parent.folder->changes.contains(wanted) || listing.find(wanted) != nullptr;
        });
    tree_.detach(child);
    tree_.drop_change(parent, old_name);
    tree_.attach(child, parent, name);
    tree_.set_change(parent, name, {false, generation});
    notices_.entries.emplace_back(parent.ino, old_name);
    notices_.entries.emplace_back(parent.ino, name);
    conflicts.push_back(name);
  }

  // A server that merged our commit, whose answer was lost, has made the copy already.
  bool stands_as_copy(const Place& place, Node& child) {
    if (child.is_directory()) return false;
    const auto id = is_dirty(child) ? known_id(child) : child.id;
    const auto copies = possible_copies(place.listing, place.name, child.current_size());
    const auto found = std::ranges::find_if(copies, [&](const auto* it) { return it->id == id; });
    if (found == copies.end()) return false;
    const auto& copy = **found;
    auto& parent = place.parent;
    if (parent.folder->changes.contains(copy.name)) return false;
    const bool known = parent.folder->children.contains(copy.name);
    if (known && child.writers > 0) return false;
    if (is_dirty(child)) become_clean(child, copy);
    if (is_dirty(child)) return false;
    if (!known) return adopt(child, copy) && go_on_as(copy, place, child);
    tree_.drop_change(parent, place.name);
    leave(child);
    return true;
  }

  static bool is_taken(const Node& parent, const std::string& name) {
    return parent.folder->changes.contains(name) || parent.folder->children.contains(name);
  }

  // What was ours at this name is now published as `copy` beside it: whoever has it open, and
  // what was changed since, goes on there.  False: that name has another meaning here.
  bool go_on_as(const Dirent& copy, const Place& place, Node& child) {
    auto& parent = place.parent;
    if (is_taken(parent, copy.name)) return false;
    tree_.detach(child);
    tree_.drop_change(parent, place.name);
    tree_.attach(child, parent, copy.name);
    if (child.is_directory() && !child.folder->changes.empty())
      tree_.set_change(parent, copy.name, {false, place.generation});
    unused_.push_back(child.ino);
    notices_.entries.emplace_back(parent.ino, place.name);
    notices_.entries.emplace_back(parent.ino, copy.name);
    return true;
  }

  Tree& tree_;
  Library& library_;
  const KnownIds& known_;
  Notices& notices_;
  std::vector<Ino> unused_;
};

}  // namespace

void Notices::tell(Kernel& kernel) const {
  for (const auto& [parent, name] : entries) kernel.entry_changed(parent, name);
  for (const auto ino : data) kernel.data_changed(ino);
}

std::vector<std::string> rebase(Tree& tree, Library& library, const Commit& commit,
                                const KnownIds& known, Notices& notices) {
  Rebase work(tree, library, known, notices);
  work.folder(*library.top, commit.root);
  tree.set_base(library, commit);
  work.release_unused();
  return std::move(work.conflicts);
}

}  // namespace nacre
