// SPDX-License-Identifier: Apache-2.0
#include "fs/subtree.hpp"

#include <algorithm>
#include <utility>

namespace nacre {
namespace {

std::string below(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

PublishedEntry entry_of(const LibraryId& library, std::string path, const Dirent& dirent) {
  return {library, std::move(path), dirent.id, dirent.size, dirent.is_directory()};
}

class Collector {
 public:
  explicit Collector(Tree& tree) : tree_(tree) {}

  void node(const Node& node, const std::string& path) {
    if (!node.library) {  // the mount's top
      for (const auto& [name, library] : node.folder->children) this->node(*library, {});
    } else if (node.is_directory()) {
      folder(node, path);
    } else {
      file(node, path);
    }
  }

  Subtree found;

 private:
  void folder(const Node& node, const std::string& path) {
    if (!node.library->ready) return;
    const auto& own = *node.folder;
    if (own.changes.empty()) {
      found.published.push_back({node.library->id, path, node.id, 0, true});
      return;
    }
    const auto published = tree_.published(node);
    for (const auto& dirent : published->entries) {
      if (!own.changes.contains(dirent.name))
        found.published.push_back(entry_of(node.library->id, below(path, dirent.name), dirent));
    }
    for (const auto& [name, change] : own.changes) {
      const auto* child = change.removed ? nullptr : own.children.at(name);
      if (!child) {
        ++found.unsent.names;
        continue;
      }
      const bool counted = child->is_directory() && !child->folder->changes.empty();
      if (!counted) ++found.unsent.names;
      this->node(*child, below(path, name));
    }
  }

  void file(const Node& node, const std::string& path) {
    if (!node.content || !node.content->dirty()) {
      found.published.push_back({node.library->id, path, node.id, node.size, false});
      return;
    }
    ++found.changed_files;
    found.changed_bytes += node.current_size();
    found.unsent.bytes += node.current_size();
  }

  Tree& tree_;
};

}  // namespace

std::string path_in_library(const Node& node) {
  if (node.is_top() || !node.parent || !node.library) return {};
  return below(path_in_library(*node.parent), node.name);
}

Subtree subtree_of(Tree& tree, const Node& node) {
  Collector collector(tree);
  collector.node(node, path_in_library(node));
  const bool changed = node.parent && node.library && !node.is_top() &&
                       node.parent->folder->changes.contains(node.name);
  const bool counted = node.is_directory() && !node.folder->changes.empty();
  if (changed && !counted) ++collector.found.unsent.names;
  return std::move(collector.found);
}

void visit(Depot& depot, const PublishedEntry& top, Reach reach, const SubtreeVisitor& visitor) {
  struct Next {
    PublishedEntry entry;
    double share;  // of all
  };
  std::vector<Next> next = {{top, 1}};
  double part = 0;
  const auto done = [&](double share) {
    part += share;
    if (visitor.part) visitor.part(part);
  };
  while (!next.empty()) {
    const auto [entry, share] = std::move(next.back());
    next.pop_back();
    if (!entry.folder) {
      if (!visitor.file(entry)) return;
      if (share > 0) done(share);
      continue;
    }
    const auto directory = reach == Reach::here ? depot.known_directory(entry.library, entry.id)
                                                : depot.directory(entry.library, entry.id);
    if (!directory) {
      if (visitor.not_known) visitor.not_known(entry);
      done(share);
      continue;
    }
    if (visitor.folder) visitor.folder(entry);
    if (reach != Reach::here) {
      std::vector<ObjectId> ids;
      for (const auto& dirent : directory->entries)
        if (dirent.is_directory() || reach == Reach::files) ids.push_back(dirent.id);
      depot.fetch_objects(entry.library, ids);
    }
    const auto takes_time = [reach](const Dirent& dirent) {
      return dirent.is_directory() || reach != Reach::folders;
    };
    const auto parts = std::ranges::count_if(directory->entries, takes_time);
    for (const auto& dirent : directory->entries)
      next.push_back({entry_of(entry.library, below(entry.path, dirent.name), dirent),
                      takes_time(dirent) ? share / static_cast<double>(parts) : 0});
    if (parts == 0) done(share);
  }
}

}  // namespace nacre
