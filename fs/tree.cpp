// SPDX-License-Identifier: Apache-2.0
#include "fs/tree.hpp"

#include <algorithm>
#include <ctime>

#include "base/error.hpp"
#include "fs/name_hash.hpp"

namespace nacre {
namespace {

std::int64_t now_seconds() { return std::time(nullptr); }

}  // namespace

bool Library::changed() const noexcept { return !top->folder->changes.empty(); }

Dirent Node::dirent() const {
  Dirent entry;
  entry.name = name;
  entry.id = id;
  entry.mode = mode;
  entry.mtime = mtime;
  if (!is_directory()) {
    entry.size = current_size();
    entry.modifier = modifier;
  }
  return entry;
}

Tree::Tree(Depot& depot, State& state, ContentStore& store, std::string user, bool read_only,
           const Shown& shown)
    : depot_(depot),
      state_(state),
      store_(store),
      user_(std::move(user)),
      read_only_(read_only),
      shown_(shown) {}

Tree::~Tree() = default;

Node& Tree::new_node(Library* library, bool directory) {
  auto node = std::make_unique<Node>();
  node->library = library;
  node->ino = next_ino_++;
  if (directory) {
    node->folder = std::make_unique<Folder>();
    node->mode = mode_directory;
  }
  auto& made = *node;
  nodes_.emplace(made.ino, std::move(node));
  return made;
}

void Tree::make_top() {
  auto& top = new_node(nullptr, true);
  top.lookups = 1;  // the kernel never gives the root back
  top.mtime = now_seconds();
  top.st_ino = root_ino;
}

Library& Tree::add_library(std::unique_ptr<Library> library, bool as_top) {
  auto& added = *library;
  auto& top = new_node(&added, true);
  top.lookups = as_top ? 1 : 0;
  if (added.ready) top.id = added.base.root;
  top.mtime = added.base.ctime;
  top.number = top_number;
  top.st_ino = std::hash<LibraryId>()(added.id) % local_st_ino;
  added.top = &top;
  added.numbered[top_number] = &top;
  if (!as_top) {
    auto& mount_top = node(root_ino);
    top.parent = &mount_top;
    top.name = added.shown_name;
    mount_top.folder->children[top.name] = &top;
  }
  libraries_.push_back(std::move(library));
  return added;
}

std::vector<Library*> Tree::libraries() const {
  std::vector<Library*> all;
  for (const auto& library : libraries_) all.push_back(library.get());
  return all;
}

Library& Tree::library(const LibraryId& id) {
  for (const auto& library : libraries_) {
    if (library->id == id) return *library;
  }
  throw Error(Errc::not_found, id.str() + ": not a library of this mount");
}

Node& Tree::node(Ino ino) {
  const auto found = nodes_.find(ino);
  if (found == nodes_.end()) throw Error(Errc::gone, "inode: not known here any more");
  return *found->second;
}

Node* Tree::find_number(Library& library, NodeNumber number) {
  const auto found = library.numbered.find(number);
  return found == library.numbered.end() ? nullptr : found->second;
}

std::shared_ptr<const Directory> Tree::published(const Node& folder) const {
  static const auto none = std::make_shared<const Directory>();
  if (!folder.library) return none;
  if (!folder.library->ready) throw NeedLibrary{folder.library->id};
  if (folder.id.is_empty()) return none;
  auto directory = depot_.known_directory(folder.library->id, folder.id);
  if (!directory) throw NeedDirectory{folder.library->id, folder.id};
  return directory;
}

std::uint64_t Tree::derive_st_ino(const Node& parent, std::string_view name) {
  return (name_hash(parent.st_ino, name) * 0xbf58476d1ce4e5b9U + 1) % local_st_ino;
}

// The number of a published name that no node stands for.
std::uint64_t Tree::st_ino_at(const Node& parent, std::string_view name) {
  const auto derived = derive_st_ino(parent, name);
  if (const auto kept = kept_st_inos_.find(derived); kept != kept_st_inos_.end())
    return kept->second;
  if (!moved_st_inos_.contains(derived)) return derived;
  return kept_st_inos_.emplace(derived, local_st_ino + next_local_ino_++).first->second;
}

Node& Tree::materialize(Node& folder, const Dirent& dirent) {
  auto& made = new_node(folder.library, dirent.is_directory());
  made.name = dirent.name;
  made.parent = &folder;
  made.id = dirent.id;
  if (!dirent.is_directory()) made.mode = dirent.is_executable() ? mode_executable : mode_file;
  made.mtime = dirent.mtime;
  made.size = dirent.size;
  made.modifier = dirent.modifier;
  made.st_ino = st_ino_at(folder, dirent.name);
  folder.folder->children.emplace(made.name, &made);
  return made;
}

void Tree::check_open(const Node& node) const {
  if (!node.library || !node.library->keys->locked()) return;
  node.library->keys->want();
  throw Error(Errc::locked,
              node.library->name + ": locked; unlock it with `nacre unlock MOUNTPOINT LIBRARY`");
}

void Tree::check_writable(const Node& node) const {
  if (read_only_) throw Error(Errc::read_only, "mount: read only");
  if (!node.library) throw Error(Errc::denied, "mount: only libraries stand here");
  check_open(node);
  if (!node.library->writable)
    throw Error(Errc::read_only, node.library->name + ": the library is shared read only");
}

Node* Tree::child(Node& folder, std::string_view name) {
  if (!folder.is_directory()) throw Error(Errc::not_directory, "lookup: not a directory");
  check_open(folder);
  auto& own = *folder.folder;
  if (const auto found = own.children.find(name); found != own.children.end()) return found->second;
  if (own.changes.contains(name)) return nullptr;  // removed: others are in memory
  const auto directory = published(folder);
  const auto* dirent = directory->find(name);
  return dirent ? &materialize(folder, *dirent) : nullptr;
}

bool Tree::empty(Node& folder) {
  const auto directory = published(folder);
  const auto& changes = folder.folder->changes;
  if (std::ranges::any_of(changes, [](const auto& change) { return !change.second.removed; }))
    return false;
  return std::ranges::all_of(directory->entries,
                             [&](const Dirent& entry) { return changes.contains(entry.name); });
}

struct stat Tree::stat_of(const Node& node) const {
  const auto* library = node.library;
  const bool locked = library && library->keys->locked();
  const bool writable = !read_only_ && library && library->writable;
  if (node.is_directory())
    return folder_stat(shown_, node.st_ino, node.mtime,
                       locked                 ? 0U
                       : writable || !library ? 0777U
                                              : 0555U);
  const auto mode = (writable ? 0666U : 0444U) | ((node.mode & 0100U) != 0 ? 0111U : 0U);
  auto st = file_stat(shown_, node.st_ino, node.mtime, mode, node.current_size());
  if (!node.parent) st.st_nlink = 0;
  return st;
}

Listing Tree::list(Node& folder) {
  if (!folder.is_directory()) throw Error(Errc::not_directory, "list: not a directory");
  check_open(folder);
  const auto directory = published(folder);
  const auto& own = *folder.folder;
  Listing listing;
  listing.reserve(directory->entries.size() + own.children.size());
  Node shadow;  // stands for a child that nobody has looked up
  shadow.library = folder.library;
  shadow.parent = &folder;
  for (auto entry = directory->entries.rbegin(); entry != directory->entries.rend(); ++entry) {
    if (own.changes.contains(entry->name)) continue;
    if (const auto found = own.children.find(entry->name); found != own.children.end()) {
      listing.push_back({entry->name, stat_of(*found->second)});
      continue;
    }
    shadow.st_ino = st_ino_at(folder, entry->name);
    shadow.mode = entry->mode;
    shadow.mtime = entry->mtime;
    shadow.size = entry->size;
    if (entry->is_directory() != shadow.is_directory())
      shadow.folder = entry->is_directory() ? std::make_unique<Folder>() : nullptr;
    listing.push_back({entry->name, stat_of(shadow)});
  }
  for (const auto& [name, node] : own.children) {
    const bool local = !folder.library;  // libraries under the mount's top
    const auto change = own.changes.find(name);
    if (local || (change != own.changes.end() && !change->second.removed))
      listing.push_back({name, stat_of(*node)});
  }
  return listing;
}

ObjectId Tree::published_id(const Node& folder) const {
  const bool as_it_is =
      folder.library && folder.folder->changes.empty() && !folder.library->keys->locked();
  return as_it_is ? folder.id : ObjectId();
}

std::optional<Ahead::Way> Tree::way_to(const Node& node) const {
  if (!node.library) return std::nullopt;
  Ahead::Way way{node.library->id, node.library->keys->encrypted(), {}};
  if (node.is_directory()) way.steps.push_back({node.id, {}});
  for (const auto* below = &node; !below->is_top(); below = below->parent) {
    if (!below->parent) return std::nullopt;
    way.steps.push_back({below->parent->id, below->name});
  }
  std::ranges::reverse(way.steps);
  return way;
}

const std::shared_ptr<FileContent>& Tree::content(Node& file) {
  if (!file.content)
    file.content = std::make_shared<FileContent>(store_, file.library->id, file.library->keys,
                                                 file.id, file.size);
  return file.content;
}

Attr Tree::counted(Node& node) {
  ++node.lookups;
  return {node.ino, stat_of(node)};
}

void Tree::forget(Ino ino, std::uint64_t lookups) noexcept {
  const auto found = nodes_.find(ino);
  if (found == nodes_.end()) return;
  auto& node = *found->second;
  node.lookups -= std::min(node.lookups, lookups);
  release_if_unused(node);
}

// What the kernel keeps of a listing stands for one published directory without changes.
// Another one begins only where no handle is left that might still be read into it.
OpenedDirectory Tree::open_folder(Node& folder, ListingFor purpose) {
  OpenedDirectory opened;
  opened.entries = std::make_shared<const Listing>(list(folder));
  auto& own = *folder.folder;
  opened.published = published_id(folder);
  if (!opened.published.is_empty()) {
    const bool enough = own.kept_for == ListingFor::attributes || purpose == ListingFor::names;
    opened.keep_cache = own.kept == folder.id && enough;
    opened.cacheable = opened.keep_cache || folder.opens == 0;
    if (!opened.keep_cache && opened.cacheable) {
      own.kept = folder.id;
      own.kept_for = purpose;
    }
  }
  this->opened(folder, false);
  return opened;
}

void Tree::opened(Node& file, bool writer) {
  ++file.opens;
  if (writer) ++file.writers;
}

void Tree::closed(Node& file, bool writer) noexcept {
  --file.opens;
  if (writer) --file.writers;
  if (file.opens == 0 && file.content && !file.content->dirty() && file.parent) {
    file.content.reset();
  }
  release_if_unused(file);
}

// The number of a node that goes, for the next one of that name.
void Tree::keep_st_ino(const Node& parent, const Node& node) noexcept try {
  const auto derived = derive_st_ino(parent, node.name);
  if (derived == node.st_ino)
    kept_st_inos_.erase(derived);
  else
    kept_st_inos_.insert_or_assign(derived, node.st_ino);
} catch (const std::bad_alloc&) {
  // It is another one then.
}

// A node stays while the kernel knows it, a handle uses it, it has changes of
// its own, or something below it stays.
void Tree::release_if_unused(Node& start) noexcept {
  auto* node = &start;
  while (node && node->lookups == 0 && node->opens == 0 && !node->is_top() &&
         node->ino != root_ino) {
    auto* parent = node->parent;
    if (node->folder && !node->folder->children.empty()) return;
    if (parent && parent->folder->changes.contains(node->name)) return;
    if (!parent && node->content) {
      try {
        add_staged(node->content->erase());  // unlinked: nobody can reach it any more
      } catch (const std::exception&) {
        // Out of memory: what is left in state is dropped at the next start.
      }
    }
    if (parent) {
      keep_st_ino(*parent, *node);
      parent->folder->children.erase(node->name);
    }
    if (node->number != 0) node->library->numbered.erase(node->number);
    if (!parent) moved_st_inos_.erase(node->st_ino);
    nodes_.erase(node->ino);
    node = parent;
  }
}

}  // namespace nacre
