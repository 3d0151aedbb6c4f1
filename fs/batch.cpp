// SPDX-License-Identifier: Apache-2.0
#include "fs/batch.hpp"

#include <algorithm>
#include <unordered_map>

#include "base/error.hpp"
#include "crypto/hash.hpp"

namespace nacre {
namespace {

class Cutter {
 public:
  Cutter(Batch& batch, const CutRules& rules) : batch_(batch), rules_(rules) {}

  std::size_t cut(const Node& folder) {
    BatchFolder cut;
    cut.number = folder.number;
    cut.base = folder.id;
    cut.entries.reserve(folder.folder->changes.size());
    for (const auto& [name, change] : folder.folder->changes) {
      BatchEntry entry;
      entry.name = name;
      entry.removed = change.removed;
      entry.generation = change.generation;
      if (!change.removed) take(entry, *folder.folder->children.at(name), change);
      cut.entries.push_back(std::move(entry));
    }
    batch_.folders.push_back(std::move(cut));
    return batch_.folders.size() - 1;
  }

 private:
  void take(BatchEntry& entry, const Node& node, const Change& change) {
    entry.number = node.number;
    entry.dirent = node.dirent();
    if (node.is_directory()) {
      if (!node.folder->changes.empty()) entry.folder = cut(node);
      return;
    }
    entry.dirent.size = node.size;
    const bool dirty = node.content && node.content->dirty();
    const bool young = !rules_.all && now_ - change.since < rules_.young;
    // A name that is new may be gone in a moment.
    if (young && node.id.is_empty()) {
      entry.skipped = true;
    } else if (dirty && !rules_.all && (young || waits_for_close(node))) {
      entry.waits = true;
    } else if (dirty) {
      entry.content = save(node);
      entry.size = node.current_size();
      entry.dirty_since = node.dirty_since;
      entry.waits = !entry.content;
    }
  }

  // False: there is no room to save it now; sending the others makes some.
  bool save(const Node& node) {
    try {
      batch_.saved = std::max(batch_.saved, node.content->save());
    } catch (const Error& error) {
      if (error.code() != Errc::full) throw;
      return false;
    }
    batch_.bytes += node.current_size();
    return true;
  }

  [[nodiscard]] bool waits_for_close(const Node& node) const {
    return node.writers > 0 && now_ - node.dirty_at < rules_.open;
  }

  Batch& batch_;
  const CutRules& rules_;
  const std::chrono::steady_clock::time_point now_ = std::chrono::steady_clock::now();
};

void count_pending(const Node& folder, std::uint64_t generation, Pending& count) {
  for (const auto& [name, change] : folder.folder->changes) {
    const auto* node = change.removed ? nullptr : folder.folder->children.at(name);
    if (node && node->is_directory() && !node->folder->changes.empty()) {
      count_pending(*node, generation, count);
    } else if (node && node->content && node->content->dirty()) {
      if (node->dirty_since > generation) continue;
      ++count.names;
      count.bytes += node->current_size();
    } else if (change.generation <= generation) {
      ++count.names;
    }
  }
}

}  // namespace

bool Batch::has_anything_to_send() const {
  return std::ranges::any_of(folders, [](const BatchFolder& folder) {
    return std::ranges::any_of(folder.entries, [](const BatchEntry& entry) {
      return !entry.skipped && !entry.waits && !entry.folder;
    });
  });
}

Batch cut_batch(Library& library, const CutRules& rules) {
  Batch batch;
  batch.library = library.id;
  batch.base = library.base;
  batch.generation = library.generation;
  Cutter(batch, rules).cut(*library.top);
  return batch;
}

Pending pending(const Library& library, std::uint64_t generation) {
  Pending count;
  count_pending(*library.top, generation, count);
  return count;
}

namespace {

// Whether a file that waits stands elsewhere on the server, whose old name may be going: then the
// published content is published here, and not lost meanwhile.
bool has_moved(const BatchEntry& entry, const Directory& base) {
  if (entry.dirent.id.is_empty()) return false;  // it was never there
  const auto* there = base.find(entry.name);
  return !there || there->id != entry.dirent.id;
}

}  // namespace

std::vector<FsObject> build_directories(Batch& batch, Depot& depot) {
  std::vector<FsObject> objects;
  for (auto& folder : batch.folders) {
    std::unordered_map<std::string_view, BatchEntry*> changed;
    Directory built;
    const auto base = depot.directory(batch.library, folder.base);
    for (auto& entry : folder.entries) {
      if (entry.folder) entry.dirent.id = batch.folders[*entry.folder].built;
      if (entry.waits && !has_moved(entry, *base)) entry.skipped = true;
      if (!entry.skipped) changed[entry.name] = &entry;
    }
    built.entries.reserve(base->entries.size() + changed.size());
    for (const auto& dirent : base->entries) {
      if (!changed.contains(dirent.name)) built.entries.push_back(dirent);
    }
    for (const auto& [name, entry] : changed) {
      if (!entry->removed) built.entries.push_back(entry->dirent);
    }
    if (built.entries.empty()) {
      folder.built = {};
      continue;
    }
    built.sort();
    auto json = write_directory(built);
    folder.built = sha1(json);
    if (folder.built != folder.base) objects.push_back({folder.built, std::move(json)});
  }
  return objects;
}

std::string describe(const Batch& batch) {
  struct Class {
    std::string first;
    std::size_t count = 0;
    void add(const std::string& name) {
      if (count++ == 0) first = name;
    }
  };
  Class files, gone, folders;
  for (const auto& folder : batch.folders) {
    for (const auto& entry : folder.entries) {
      if (entry.skipped) continue;
      if (entry.removed)
        gone.add(entry.name);
      else if (!entry.dirent.is_directory())
        files.add(entry.name);
      else if (!entry.folder)
        folders.add(entry.name);
    }
  }
  std::string text;
  const auto say = [&](const Class& what, const char* verb, const char* one, const char* many) {
    if (what.count == 0) return;
    text += std::string(verb) + (what.count == 1 ? one : "") + " \"" + what.first + "\"";
    if (what.count > 1) text += " and " + std::to_string(what.count - 1) + " more " + many;
    text += ".\n";
  };
  say(files, "Added or modified", "", "files");
  say(gone, "Deleted", "", "files");
  say(folders, "Added", " directory", "directories");
  return text.empty() ? "Changed directories.\n" : text;
}

namespace {

// Where `sent` stands in a directory of the server's: at its name, or under a conflict name.
const Dirent* find_sent(const Directory& directory, const Dirent& sent) {
  const auto same = [&](const Dirent& d) {
    return d.id == sent.id && d.is_directory() == sent.is_directory();
  };
  const auto* at_name = directory.find(sent.name);
  if (at_name && same(*at_name)) return at_name;
  const auto moved = std::ranges::find_if(directory.entries, same);
  return moved == directory.entries.end() ? nullptr : &*moved;
}

}  // namespace

void skip_what_is_missing(Batch& batch, Depot& depot, const ObjectId& root) {
  // From the top down: each folder's directory in the tree under `root`.
  std::vector<std::shared_ptr<const Directory>> there(batch.folders.size());
  there.back() = depot.directory(batch.library, root);
  for (auto place = batch.folders.size(); place-- > 0;) {
    const auto& directory = there[place];
    for (auto& entry : batch.folders[place].entries) {
      if (entry.skipped || entry.removed) continue;
      const auto* at_name = directory ? directory->find(entry.name) : nullptr;
      const bool merged = at_name && entry.dirent.is_directory() && at_name->is_directory();
      const auto* stands = merged || !directory ? at_name : find_sent(*directory, entry.dirent);
      if (entry.folder) {
        if (stands) there[*entry.folder] = depot.directory(batch.library, stands->id);
        continue;
      }
      // A merge by the server keeps their mode where only ours changed.
      const bool lost_mode =
          stands && stands == at_name && !merged && stands->mode != entry.dirent.mode;
      entry.skipped = !stands || lost_mode;
    }
  }
}

namespace {

// Writing changes times without being noted as another change each time.
bool has_attributes_of(const Node& node, const Dirent& sent) {
  return node.is_directory() || (node.mtime == sent.mtime && node.mode == sent.mode);
}

}  // namespace

void apply_published(Tree& tree, Library& library, const Batch& batch, const Commit& commit) {
  const auto now = std::chrono::steady_clock::now();
  std::vector<Ino> settled;
  for (const auto& cut : batch.folders) {
    auto* folder = tree.find_number(library, cut.number);
    if (!folder) continue;  // removed since: its parent's entry says so
    folder->id = cut.built;
    for (const auto& entry : cut.entries) {
      if (entry.skipped) continue;
      const auto change = folder->folder->changes.find(entry.name);
      const bool changed = change != folder->folder->changes.end();
      const bool as_it_was = changed && change->second.generation == entry.generation &&
                             change->second.removed == entry.removed;
      if (entry.removed) {
        if (as_it_was) tree.drop_change(*folder, entry.name);
        continue;
      }
      auto* node = tree.find_number(library, entry.number);
      bool clean = true;
      if (node && !node->is_directory()) {
        if (entry.content && node->content) {
          std::vector<State::Change> staged;
          clean =
              node->content->published(entry.version, entry.dirent.id, entry.dirent.size, staged);
          tree.add_staged(std::move(staged));
          node->dirty_since = clean ? 0 : batch.generation + 1;
          node->dirty_at = now;
          if (clean && node->opens == 0) node->content.reset();
          node->id = entry.dirent.id;
          node->size = entry.dirent.size;
        } else {
          clean = !node->content || !node->content->dirty();
        }
      } else if (node) {
        clean = node->folder->changes.empty();
      }
      // Removed or renamed here since the snapshot, when it was not published yet.
      if (!changed) tree.set_change(*folder, entry.name, {.removed = true});
      if (as_it_was && clean && node && node->parent == folder && node->name == entry.name &&
          has_attributes_of(*node, entry.dirent)) {
        tree.drop_change(*folder, entry.name);
        settled.push_back(node->ino);
      } else if (node) {
        tree.stage_again(*node);  // wherever it stands now: it says what was published of it
      }
    }
  }
  tree.set_base(library, commit);
  library.generation = std::max(library.generation, batch.generation + 1);
  if (library.changed()) library.first_change = now;
  for (const auto ino : settled) tree.forget(ino, 0);
}

}  // namespace nacre
