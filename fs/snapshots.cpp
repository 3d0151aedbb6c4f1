// SPDX-License-Identifier: Apache-2.0
#include "fs/snapshots.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "fs/name_hash.hpp"
#include "fs/patience.hpp"

namespace nacre {
namespace {

Dirent folder_entry(std::string_view name, const ObjectId& id, std::int64_t mtime) {
  Dirent entry;
  entry.name = name;
  entry.id = id;
  entry.mode = mode_directory;
  entry.mtime = mtime;
  return entry;
}

// None of the live tree's.
std::uint64_t derived(std::uint64_t parent, std::string_view name, std::uint64_t mark) {
  return name_hash(parent, name) | mark;
}

void check_open(const KeyHolder& keys) {
  if (keys.locked())
    throw Error(Errc::locked, "snapshots: the library is locked; unlock it with `nacre unlock`");
}

}  // namespace

Snapshots::Node& Snapshots::node(Ino ino) {
  const auto found = nodes_.find(ino);
  if (found == nodes_.end()) throw Error(Errc::gone, "inode: not known here any more");
  return *found->second;
}

Snapshots::Place Snapshots::place(Ino ino) {
  const std::lock_guard lock(mutex_);
  const auto& known = node(ino);
  return {known.line, known.entry, known.st_ino, known.parent == nullptr};
}

struct stat Snapshots::stat_of(const Dirent& entry, std::uint64_t st_ino) const {
  // As in the live tree, so that copies get them; who writes is told EROFS.
  if (entry.is_directory()) return folder_stat(shown_, st_ino, entry.mtime, 0777);
  return file_stat(shown_, st_ino, entry.mtime, entry.is_executable() ? 0777 : 0666, entry.size);
}

Snapshots::Node& Snapshots::child(Node* parent, const std::shared_ptr<Line>& line,
                                  const Dirent& entry) {
  auto made = std::make_unique<Node>();
  made->ino = next_ino_++;
  made->parent = parent;
  made->line = line;
  made->entry = entry;
  made->st_ino = derived(parent ? parent->st_ino : line->library.top_st_ino, entry.name, mark);
  auto& added = *made;
  nodes_.emplace(added.ino, std::move(made));
  if (parent)
    parent->children.emplace(entry.name, &added);
  else
    folders_[line->library.id] = &added;
  return added;
}

Attr Snapshots::folder_of(const SnapshotLibrary& library) {
  check_open(*library.keys);
  const std::lock_guard lock(mutex_);
  auto& line = lines_[library.id];
  if (!line) line = std::make_shared<Line>(library, source_.contents().depot);
  const auto found = folders_.find(library.id);
  auto& folder =
      found != folders_.end() ? *found->second : child(nullptr, line, folder_entry(name, {}, 0));
  ++folder.lookups;
  return {folder.ino, stat_of(folder.entry, folder.st_ino)};
}

// An entry, and for a snapshot's top its commit.
std::optional<std::pair<Dirent, ObjectId>> Snapshots::find(const Place& parent,
                                                           std::string_view wanted) {
  if (parent.is_folder) {
    // Whatever else programs look for in a folder costs no request.
    const auto time = SnapshotTime::parse(wanted);
    if (!time) return std::nullopt;
    auto& line = *parent.line;
    const auto found = line.history.find(source_.head_of(line.library.id), *time);
    if (!found) return std::nullopt;
    return std::pair(folder_entry(wanted, found->root, time->seconds), found->commit);
  }
  const auto directory =
      source_.contents().depot.directory(parent.line->library.id, parent.entry.id);
  const auto* entry = directory->find(wanted);
  if (!entry) return std::nullopt;
  return std::pair(*entry, ObjectId());
}

Attr Snapshots::lookup(Ino parent, std::string_view wanted) {
  const auto at = place(parent);
  if (!at.entry.is_directory()) throw Error(Errc::not_directory, "lookup: not a directory");
  check_open(*at.line->library.keys);
  const auto found = find(at, wanted);
  if (!found) throw Error(Errc::not_found, std::string(wanted) + ": no such name");

  const std::lock_guard lock(mutex_);
  auto& folder = node(parent);
  const auto known = folder.children.find(wanted);
  auto& it =
      known != folder.children.end() ? *known->second : child(&folder, at.line, found->first);
  it.commit = found->second;
  ++it.lookups;
  return {it.ino, stat_of(it.entry, it.st_ino)};
}

void Snapshots::release_if_unused(Node& start) noexcept {
  auto* node = &start;
  while (node && node->lookups == 0 && node->opens == 0 && node->children.empty()) {
    auto* parent = node->parent;
    if (parent)
      parent->children.erase(node->entry.name);
    else
      folders_.erase(node->line->library.id);
    nodes_.erase(node->ino);
    node = parent;
  }
}

void Snapshots::forget(Ino ino, std::uint64_t lookups) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = nodes_.find(ino);
  if (found == nodes_.end()) return;
  auto& node = *found->second;
  node.lookups -= std::min(node.lookups, lookups);
  release_if_unused(node);
}

Attr Snapshots::getattr(Ino ino) {
  const auto at = place(ino);
  return {ino, stat_of(at.entry, at.st_ino)};
}

std::vector<Dirent> Snapshots::entries_of(const Place& folder) {
  if (!folder.entry.is_directory()) throw Error(Errc::not_directory, "list: not a directory");
  auto& line = *folder.line;
  check_open(*line.library.keys);
  if (!folder.is_folder)
    return source_.contents().depot.directory(line.library.id, folder.entry.id)->entries;
  std::vector<Dirent> entries;
  for (const auto& [time, snapshot] : line.history.look(source_.head_of(line.library.id)))
    entries.push_back(folder_entry(time.name(), snapshot.root, time.seconds));
  return entries;
}

std::shared_ptr<const Listing> Snapshots::list(Ino ino) {
  const auto folder = place(ino);
  auto listing = std::make_shared<Listing>();
  for (const auto& entry : entries_of(folder))
    listing->push_back({entry.name, stat_of(entry, derived(folder.st_ino, entry.name, mark))});
  return listing;
}

// From the snapshot's top; nothing for what is above.
std::optional<Ahead::Way> Snapshots::way_to(const Node& node) const {
  const auto& library = node.line->library;
  Ahead::Way way{library.id, library.keys->encrypted(), {}};
  if (node.entry.is_directory()) way.steps.push_back({node.entry.id, {}});
  const auto* below = &node;
  for (; below->parent && below->parent->parent; below = below->parent)
    way.steps.push_back({below->parent->entry.id, below->entry.name});
  if (!below->parent || way.steps.empty()) return std::nullopt;
  std::ranges::reverse(way.steps);
  return way;
}

OpenedDirectory Snapshots::open_directory(Ino ino) {
  OpenedDirectory opened{.entries = list(ino)};
  std::optional<Ahead::Way> way;
  {
    const std::lock_guard lock(mutex_);
    auto& folder = node(ino);
    ++folder.opens;
    way = way_to(folder);
  }
  if (way) source_.ahead().listed(*std::move(way));
  return opened;
}

Opened Snapshots::open(Ino ino) {
  const auto at = place(ino);
  source_.check_here(at.line->library.id, at.entry.id);
  auto file = std::make_shared<OpenFile>();
  file->only_here = patience::only_here;
  Opened opened;
  std::optional<Ahead::Way> way;
  ObjectId id;
  {
    const std::lock_guard lock(mutex_);
    auto& it = node(ino);
    const auto& library = it.line->library;
    if (it.entry.is_directory()) throw Error(Errc::is_directory, "open: a directory");
    check_open(*library.keys);
    if (!it.content)
      it.content = std::make_shared<FileContent>(source_.contents(), library.id, library.keys,
                                                 it.entry.id, it.entry.size);
    file->content = it.content;
    file->snapshot = OpenFile::Snapshot{ino, library.id, it.entry.id};
    opened = {{ino, stat_of(it.entry, it.st_ino)}, file, true};
    way = way_to(it);
    id = it.entry.id;
    ++it.opens;
  }
  if (way && !id.is_empty() && !file->only_here) source_.ahead().reading(*std::move(way), id);
  return opened;
}

void Snapshots::closed(Ino ino) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = nodes_.find(ino);
  if (found == nodes_.end()) return;
  auto& node = *found->second;
  if (--node.opens == 0) node.content.reset();
  release_if_unused(node);
}

std::optional<std::string> Snapshots::commit_of(Ino ino) {
  const std::lock_guard lock(mutex_);
  const auto& known = node(ino);
  return known.commit.is_empty() ? std::nullopt : std::optional(known.commit.hex());
}

Notices Snapshots::drop_locked() {
  Notices notices;
  const std::lock_guard lock(mutex_);
  for (const auto& [ino, node] : nodes_) {
    const auto& library = node->line->library;
    if (!library.keys->locked()) continue;
    if (node->content) node->content->drop_reader();
    notices.data.push_back(ino);
    notices.entries.emplace_back(node->parent ? node->parent->ino : library.top, node->entry.name);
  }
  return notices;
}

bool Snapshots::has_folder(Ino top) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(
      folders_, [&](const auto& folder) { return folder.second->line->library.top == top; });
}

}  // namespace nacre
