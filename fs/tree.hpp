// SPDX-License-Identifier: Apache-2.0
//
// The live tree of a mount, in memory: nodes that the kernel knows or that have
// unsent changes, over the published directories of each library.  A folder's
// names are those of its published directory, less and plus its `changes`.
//
// No locking of its own: Filesystem holds one mutex over all calls, and over
// no I/O.  A member that lacks a published directory throws NeedDirectory,
// having changed nothing; the caller fetches it without the lock and calls again.
// Changes are staged in state in the order they are made; commit the ticket
// after the lock is released.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "fs/ahead.hpp"
#include "fs/file_content.hpp"
#include "fs/filesystem.hpp"
#include "fs/key_holder.hpp"
#include "fs/records.hpp"
#include "fs/shown.hpp"

namespace nacre {

struct Node;

// A published directory is needed and not at hand.  Not an Error.
struct NeedDirectory {
  LibraryId library;
  ObjectId id;
};

// A library's head has not been asked for yet.  Not an Error.
struct NeedLibrary {
  LibraryId id;
};

// What was done here to a name since it was published.
struct Change {
  bool removed = false;                              // else a child of this name is in memory
  std::uint64_t generation = 0;                      // Library::generation at the time
  std::chrono::steady_clock::time_point since = {};  // the name has not been as published
};

struct Folder {
  std::map<std::string, Node*, std::less<>> children;  // those in memory
  std::map<std::string, Change, std::less<>> changes;
  // The published directory that the kernel may have kept a listing of, and whether it was told of
  // its files too.
  ObjectId kept;
  ListingFor kept_for = ListingFor::names;
};

// One mounted library.
struct Library {
  LibraryId id;
  std::string name;        // on the server
  std::string shown_name;  // under the mountpoint
  bool writable = true;
  std::shared_ptr<KeyHolder> keys;
  std::optional<ObjectId> listed_head;  // as the server told last
  bool ready = false;                   // `base` is known
  Commit base;                          // the published commit under the changes
  Node* top = nullptr;

  std::uint64_t generation = 0;  // counts changes made here
  NodeNumber next_number = top_number + 1;
  std::unordered_map<NodeNumber, Node*> numbered;
  std::chrono::steady_clock::time_point first_change{}, last_change{};

  [[nodiscard]] bool changed() const noexcept;
};

struct Node {
  Library* library = nullptr;  // null: the top of a mount of several libraries
  Node* parent = nullptr;      // null: the mount's top, or no longer in the tree
  std::string name;
  Ino ino = 0;
  std::uint64_t st_ino = 0;
  std::uint64_t lookups = 0;  // that the kernel has not given back
  std::uint32_t opens = 0;    // handles
  std::uint32_t writers = 0;  // of them, for writing
  NodeNumber number = 0;      // in state; 0: none yet

  ObjectId id;  // as it was published (a folder: under its changes)
  std::uint32_t mode = mode_file;
  std::int64_t mtime = 0;
  std::uint64_t size = 0;  // of a file, as it was published
  std::string modifier;
  std::uint64_t dirty_since = 0;  // generation of the first unsent write; 0: none
  std::chrono::steady_clock::time_point dirty_at = {};  // when that was

  std::unique_ptr<Folder> folder;        // of a directory
  std::shared_ptr<FileContent> content;  // of a file that was opened or changed

  [[nodiscard]] bool is_directory() const noexcept { return folder != nullptr; }
  [[nodiscard]] bool is_top() const noexcept { return library && library->top == this; }
  [[nodiscard]] std::uint64_t current_size() const { return content ? content->size() : size; }
  [[nodiscard]] Dirent dirent() const;  // as it would be published now
};

class Tree {
 public:
  Tree(Depot& depot, State& state, ContentStore& store, std::string user, bool read_only,
       const Shown& shown);
  ~Tree();

  // The mount's top: a folder of libraries, or one library's top.
  void make_top();
  Library& add_library(std::unique_ptr<Library> library, bool as_top);
  Library& library(const LibraryId& id);  // Error{not_found}
  [[nodiscard]] std::vector<Library*> libraries() const;
  // A library's unsent changes, from state's records.
  struct Recorded {
    std::vector<std::pair<NodeNumber, EntryRecord>> entries;
    std::map<NodeNumber, FileRecord> files;
    std::map<NodeNumber, std::vector<std::uint64_t>> extents;
  };
  void restore(Library& library, Recorded recorded);

  Node& node(Ino ino);  // Error{gone}: freed, or never there
  Node* find_number(Library& library, NodeNumber number);

  // Looking.
  Node* child(Node& folder, std::string_view name);  // nullptr: no such name
  bool empty(Node& folder);
  Listing list(Node& folder);
  // From its library's top, as published; nothing for what is above the libraries.
  [[nodiscard]] std::optional<Ahead::Way> way_to(const Node& node) const;
  [[nodiscard]] struct stat stat_of(const Node& node) const;
  std::shared_ptr<const Directory> published(const Node& folder) const;  // its directory
  // That of a folder which shows it as it is; else the empty one.
  [[nodiscard]] ObjectId published_id(const Node& folder) const;
  const std::shared_ptr<FileContent>& content(Node& file);  // made on demand

  // Lookups and handles.
  Attr counted(Node& node);
  void forget(Ino ino, std::uint64_t lookups) noexcept;
  OpenedDirectory open_folder(Node& folder, ListingFor purpose);  // closed() gives it back
  void opened(Node& file, bool writer);
  void closed(Node& file, bool writer) noexcept;

  // Changing.  All check names, kinds and permission first.
  Node& create_file(Node& parent, std::string_view name, mode_t mode);
  Node& create_folder(Node& parent, std::string_view name);
  // What stands or stood elsewhere in the library, by its id; over a file only where that has
  // nothing unsent.
  Node& put_published(Node& parent, std::string_view name, const Dirent& published);
  void remove(Node& parent, std::string_view name, bool directory);
  void rename(Node& parent, std::string_view name, Node& new_parent, std::string_view new_name,
              unsigned flags);
  void set_mode(Node& node, mode_t mode);
  void set_mtime(Node& node, std::int64_t mtime);
  void will_write(Node& file);   // before its content changes
  void wrote(Node& file);        // after
  void stage_again(Node& node);  // a changed node's entry, with what it says now
  State::Ticket stage();         // what was changed since; all or nothing

  void check_writable(const Node& node) const;  // Error{read_only, locked}
  void check_open(const Node& node) const;      // Error{locked}

  // For the sync engine: the other way round, what the server did to the tree.
  Node& materialize(Node& folder, const Dirent& dirent);  // a child in memory
  void attach(Node& child, Node& folder, std::string_view name);
  void detach(Node& child);  // out of the tree; freed when nobody holds it
  void set_change(Node& folder, std::string_view name, const Change& change);
  void drop_change(Node& folder, std::string_view name);
  void touch(Node& node);                 // its entry changed here: notes it, and the way to it
  void drop_changes_below(Node& folder);  // of a folder that leaves the tree
  void forget_content(Node& file);        // of a file that leaves the tree
  void release_if_unused(Node& node) noexcept;
  void set_base(Library& library, Commit base);
  void add_staged(std::vector<State::Change> changes);
  [[nodiscard]] const std::string& user() const noexcept { return user_; }
  [[nodiscard]] Depot& depot() noexcept { return depot_; }

 private:
  Node& new_node(Library* library, bool directory);
  void remove_name(Node& folder, const std::string& name, bool published);
  void note_change_in(Node& folder);
  void stage_entry(Node& folder, const std::string& name);
  void number_of(Node& node);
  void orphan(Node& child);
  static std::uint64_t derive_st_ino(const Node& parent, std::string_view name);
  std::uint64_t st_ino_at(const Node& parent, std::string_view name);
  void keep_st_ino(const Node& parent, const Node& node) noexcept;
  std::uint64_t new_st_ino(const Node& parent, std::string_view name);
  void check_new_name(Node& parent, std::string_view name);

  static constexpr std::uint64_t local_st_ino = std::uint64_t{1} << 62U;  // and above: made here

  Depot& depot_;
  State& state_;
  ContentStore& store_;
  const std::string user_;
  const bool read_only_;
  const Shown shown_;
  Ino next_ino_ = root_ino;
  std::uint64_t next_local_ino_ = 1;
  std::unordered_map<Ino, std::unique_ptr<Node>> nodes_;
  std::unordered_set<std::uint64_t> moved_st_inos_;  // of nodes that left the name of the number
  // Numbers that stay although no node does: by the number that the name would give.
  std::unordered_map<std::uint64_t, std::uint64_t> kept_st_inos_;
  std::vector<std::unique_ptr<Library>> libraries_;
  std::vector<State::Change> staged_;
};

}  // namespace nacre
