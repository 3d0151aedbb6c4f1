// SPDX-License-Identifier: Apache-2.0
//
// The half of Tree that changes it.
#include <fcntl.h>
#include <stdio.h>

#include <ctime>

#include "base/error.hpp"
#include "fs/tree.hpp"

namespace nacre {
namespace {

std::int64_t now_seconds() { return std::time(nullptr); }

[[noreturn]] void no_such_name(std::string_view name) {
  throw Error(Errc::not_found, std::string(name) + ": no such name");
}

bool is_within(const Node& node, const Node& folder) {
  for (const auto* up = &node; up; up = up->parent) {
    if (up == &folder) return true;
  }
  return false;
}

}  // namespace

void Tree::number_of(Node& node) {
  if (node.number != 0) return;
  node.number = node.library->next_number++;
  node.library->numbered[node.number] = &node;
  if (node.content) node.content->set_number(node.number);
}

void Tree::stage_entry(Node& folder, const std::string& name) {
  const auto key = record_key::entry(folder.library->id, folder.number, state_.tag(as_bytes(name)));
  const auto& own = *folder.folder;
  const auto change = own.changes.find(name);
  if (change == own.changes.end()) {
    staged_.push_back({key, std::nullopt});
    return;
  }
  EntryRecord record;
  record.name = name;
  record.removed = change->second.removed;
  record.generation = change->second.generation;
  if (!record.removed) {
    const auto& node = *own.children.at(name);
    record.node = node.number;
    record.dirent = node.dirent();
    record.dirent.size = node.size;  // of what is published: state has the rest by itself
  }
  staged_.push_back({key, encode(record)});
}

void Tree::note_change_in(Node& folder) {
  auto& library = *folder.library;
  const auto now = std::chrono::steady_clock::now();
  if (!library.changed()) library.first_change = now;
  library.last_change = now;
  ++library.generation;
  number_of(folder);
}

void Tree::set_change(Node& folder, std::string_view name, const Change& change) {
  note_change_in(folder);
  const std::string key(name);
  const auto [found, is_new] = folder.folder->changes.try_emplace(key);
  auto& own = found->second;
  const auto since = is_new ? folder.library->last_change : own.since;
  own = change;
  if (own.generation == 0) own.generation = folder.library->generation;
  own.since = since;
  if (!own.removed) number_of(*folder.folder->children.at(key));
  stage_entry(folder, key);
  // The way from the top to here, for whoever looks for changes.
  for (auto* node = &folder; !node->is_top(); node = node->parent) {
    if (node->parent == nullptr || node->parent->folder->changes.contains(node->name)) break;
    number_of(*node->parent);
    node->parent->folder->changes[node->name] = {false, folder.library->generation, own.since};
    stage_entry(*node->parent, node->name);
  }
}

void Tree::drop_change(Node& folder, std::string_view name) {
  const auto found = folder.folder->changes.find(name);
  if (found == folder.folder->changes.end()) return;
  const auto key = found->first;
  folder.folder->changes.erase(found);
  stage_entry(folder, key);
}

void Tree::touch(Node& node) {
  if (node.is_top() || !node.parent) return;
  set_change(*node.parent, node.name, {});
}

State::Ticket Tree::stage() {
  if (staged_.empty()) return 0;
  return state_.stage(std::exchange(staged_, {}));
}

void Tree::stage_again(Node& node) {
  if (!node.parent || !node.parent->folder->changes.contains(node.name)) return;
  stage_entry(*node.parent, node.name);
}

void Tree::set_base(Library& library, Commit base) {
  library.base = std::move(base);
  library.ready = true;
  library.top->id = library.base.root;
  library.top->mtime = library.base.ctime;
  staged_.push_back({record_key::base(library.id), encode_base(library.base)});
}

void Tree::add_staged(std::vector<State::Change> changes) {
  for (auto& change : changes) staged_.push_back(std::move(change));
}

void Tree::check_new_name(Node& parent, std::string_view name) {
  if (name.size() > max_name) throw Error(Errc::name_too_long, "name: more than 255 bytes");
  if (const auto* fault = name_fault(name))
    throw Error(Errc::invalid, std::string("name: ") + fault + "; no Seafile server would take it");
  if (!parent.is_directory()) throw Error(Errc::not_directory, "create: not a directory");
  if (!parent.parent && !parent.is_top() && parent.library)
    throw Error(Errc::not_found, "create: the directory was removed");
  check_writable(parent);
}

void Tree::attach(Node& child, Node& folder, std::string_view name) {
  child.parent = &folder;
  child.name = name;
  folder.folder->children.emplace(child.name, &child);
}

void Tree::detach(Node& child) {
  moved_st_inos_.insert(child.st_ino);  // who takes its name is somebody else
  child.parent->folder->children.erase(child.name);
  child.parent = nullptr;
}

// Below a folder that leaves the tree, state keeps nothing.
void Tree::drop_changes_below(Node& folder) {
  auto& own = *folder.folder;
  while (!own.changes.empty()) {
    const auto name = own.changes.begin()->first;
    const auto child = own.children.find(name);
    auto* node = child == own.children.end() ? nullptr : child->second;
    drop_change(folder, name);
    if (node) orphan(*node);
  }
}

void Tree::forget_content(Node& file) {
  file.dirty_since = 0;
  if (file.content && file.opens == 0) {
    add_staged(file.content->erase());
    file.content.reset();
  }
}

// Out of the tree; lives on while the kernel or a handle has it.
void Tree::orphan(Node& child) {
  if (child.is_directory())
    drop_changes_below(child);
  else
    forget_content(child);
  detach(child);
  release_if_unused(child);
}

// `published`: the name stands in the published directory too.
void Tree::remove_name(Node& folder, const std::string& name, bool published) {
  if (published) {
    set_change(folder, name, {.removed = true});
  } else {
    note_change_in(folder);
    drop_change(folder, name);
  }
}

// What the name will give once it is published, so that the number stays; another one
// while a file that left the name lives on with it.
std::uint64_t Tree::new_st_ino(const Node& parent, std::string_view name) {
  const auto derived = derive_st_ino(parent, name);
  kept_st_inos_.erase(derived);
  return moved_st_inos_.contains(derived) ? local_st_ino + next_local_ino_++ : derived;
}

Node& Tree::create_file(Node& parent, std::string_view name, mode_t mode) {
  check_new_name(parent, name);
  if (child(parent, name)) throw Error(Errc::exists, std::string(name) + ": the name is taken");
  auto& node = new_node(parent.library, false);
  node.st_ino = new_st_ino(parent, name);
  node.mode = (mode & 0100U) != 0 ? mode_executable : mode_file;
  node.mtime = parent.mtime = now_seconds();
  node.modifier = user_;
  attach(node, parent, name);
  touch(node);
  return node;
}

Node& Tree::create_folder(Node& parent, std::string_view name) {
  check_new_name(parent, name);
  if (child(parent, name)) throw Error(Errc::exists, std::string(name) + ": the name is taken");
  auto& node = new_node(parent.library, true);
  node.st_ino = new_st_ino(parent, name);
  node.mtime = parent.mtime = now_seconds();
  attach(node, parent, name);
  touch(node);
  return node;
}

Node& Tree::put_published(Node& parent, std::string_view name, const Dirent& published) {
  check_new_name(parent, name);
  auto* there = child(parent, name);
  if (there && (there->is_directory() || published.is_directory()))
    throw Error(Errc::exists, std::string(name) + ": is there; choose another name with --to");
  if (there && there->content && there->content->dirty())
    throw Error(Errc::exists, std::string(name) +
                                  ": has unsent changes; `nacre sync` first, or choose another "
                                  "name with --to");
  auto& node = there ? *there : new_node(parent.library, published.is_directory());
  node.id = published.id;
  node.size = published.size;
  node.mtime = parent.mtime = now_seconds();
  if (!published.is_directory()) {
    node.mode = published.is_executable() ? mode_executable : mode_file;
    node.modifier = user_;
    if (node.content) node.content->replace(node.id, node.size);
  }
  if (!there) {
    node.st_ino = new_st_ino(parent, name);
    attach(node, parent, name);
  }
  touch(node);
  return node;
}

void Tree::remove(Node& parent, std::string_view name, bool directory) {
  check_writable(parent);
  auto* node = child(parent, name);
  if (!node) no_such_name(name);
  if (directory && !node->is_directory()) throw Error(Errc::not_directory, "rmdir: a file");
  if (!directory && node->is_directory()) throw Error(Errc::is_directory, "unlink: a directory");
  if (directory && !empty(*node)) throw Error(Errc::not_empty, "rmdir: not empty");
  const bool in_published = published(parent)->find(name) != nullptr;

  const std::string key(name);
  orphan(*node);
  remove_name(parent, key, in_published);
  parent.mtime = now_seconds();
}

void Tree::rename(Node& parent, std::string_view name, Node& new_parent, std::string_view new_name,
                  unsigned flags) {
  check_writable(parent);
  check_new_name(new_parent, new_name);
  auto* from = child(parent, name);
  if (!from) no_such_name(name);
  if (parent.library != new_parent.library)
    throw Error(Errc::cross_library, "rename: from one library to another; copy instead");
  auto* to = child(new_parent, new_name);
  const bool exchange = (flags & RENAME_EXCHANGE) != 0;
  if (exchange && !to) no_such_name(new_name);
  if ((flags & RENAME_NOREPLACE) != 0 && to)
    throw Error(Errc::exists, std::string(new_name) + ": the name is taken");
  if (from == to) return;
  if (is_within(new_parent, *from) || (exchange && is_within(parent, *to)))
    throw Error(Errc::invalid, "rename: a directory into itself");
  if (to && !exchange) {
    if (to->is_directory() && !from->is_directory())
      throw Error(Errc::is_directory, "rename: a file onto a directory");
    if (!to->is_directory() && from->is_directory())
      throw Error(Errc::not_directory, "rename: a directory onto a file");
    if (to->is_directory() && !empty(*to))
      throw Error(Errc::not_empty, "rename: onto a directory that is not empty");
  }
  const bool in_published = published(parent)->find(name) != nullptr;
  published(new_parent);  // all that may be missing is asked for before anything changes

  const std::string old_key(name), new_key(new_name);
  if (exchange) {
    detach(*from);
    detach(*to);
    attach(*to, parent, old_key);
    attach(*from, new_parent, new_key);
    touch(*to);
  } else {
    if (to) orphan(*to);
    detach(*from);
    attach(*from, new_parent, new_key);
    remove_name(parent, old_key, in_published);
  }
  touch(*from);
  parent.mtime = new_parent.mtime = now_seconds();
}

void Tree::set_mode(Node& node, mode_t mode) {
  check_writable(node);
  if (node.is_directory()) return;  // a library keeps no modes of directories
  const auto wanted = (mode & 0100U) != 0 ? mode_executable : mode_file;
  if (wanted == node.mode) return;
  node.mode = wanted;
  touch(node);
}

void Tree::set_mtime(Node& node, std::int64_t mtime) {
  check_writable(node);
  if (node.mtime == mtime) return;
  node.mtime = mtime;
  touch(node);
}

void Tree::will_write(Node& file) {
  check_writable(file);
  number_of(file);
  content(file)->set_number(file.number);
}

void Tree::wrote(Node& file) {
  file.mtime = now_seconds();
  file.modifier = user_;
  if (!file.parent) return;
  auto& library = *file.library;
  if (file.parent->folder->changes.contains(file.name)) {
    note_change_in(*file.parent);  // known already: nothing new to stage for every write
  } else {
    touch(file);
  }
  if (file.dirty_since != 0) return;
  file.dirty_since = library.generation;
  file.dirty_at = library.last_change;
}

void Tree::restore(Library& library, Recorded recorded) {
  std::map<NodeNumber, std::vector<EntryRecord>> by_folder;
  for (auto& [folder, entry] : recorded.entries) {
    library.next_number = std::max({library.next_number, folder + 1, entry.node + 1});
    library.generation = std::max(library.generation, entry.generation);
    by_folder[folder].push_back(std::move(entry));
  }
  for (const auto& [number, file] : recorded.files) {
    if (store_.next_version <= file.version) store_.next_version = file.version + 1;
  }
  const auto now = std::chrono::steady_clock::now();
  library.first_change = library.last_change = now;

  std::vector<Node*> folders = {library.top};
  while (!folders.empty()) {
    auto& folder = *folders.back();
    folders.pop_back();
    for (auto& entry : by_folder[folder.number]) {
      if (!entry.removed) {
        auto& node = materialize(folder, entry.dirent);
        node.st_ino = local_st_ino + next_local_ino_++;
        node.number = entry.node;
        library.numbered[node.number] = &node;
        if (const auto file = recorded.files.find(entry.node); file != recorded.files.end()) {
          node.content = std::make_shared<FileContent>(store_, library.id, library.keys, entry.node,
                                                       file->second, recorded.extents[entry.node]);
          node.dirty_since = std::max<std::uint64_t>(entry.generation, 1);
          recorded.files.erase(file);
          recorded.extents.erase(entry.node);
        }
        if (node.is_directory()) folders.push_back(&node);
      }
      folder.folder->changes[entry.name] = {entry.removed, entry.generation, {}};
    }
    by_folder.erase(folder.number);
  }

  // What nobody can reach any more: files that were unlinked while open.
  for (const auto& [folder, entries] : by_folder) {
    for (const auto& entry : entries)
      staged_.push_back(
          {record_key::entry(library.id, folder, state_.tag(as_bytes(entry.name))), std::nullopt});
  }
  for (const auto& [number, record] : recorded.files) {
    library.next_number = std::max(library.next_number, number + 1);
    staged_.push_back({record_key::file(library.id, number), std::nullopt});
  }
  for (const auto& [number, indices] : recorded.extents) {
    for (const auto index : indices)
      staged_.push_back({record_key::extent(library.id, number, index), std::nullopt});
  }
}

}  // namespace nacre
