// SPDX-License-Identifier: Apache-2.0
//
// One batch of a library's unsent changes: a snapshot of them, the directories
// that they make, and what becomes of the tree once the server has them.
// Changing goes on meanwhile: what changed again since the snapshot stays unsent.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fs/tree.hpp"

namespace nacre {

struct BatchEntry {
  std::string name;
  bool removed = false;
  bool skipped = false;  // left for a later batch
  bool content = false;  // a file whose content is sent
  bool waits =
      false;  // a file whose content is for a later batch: its name, if it has moved, is not
  std::uint64_t generation = 0;
  NodeNumber number = 0;
  Dirent dirent;                      // as it will be published
  std::uint64_t version = 0;          // of the content
  std::uint64_t size = 0;             // of the content, when the batch was cut
  std::uint64_t dirty_since = 0;      // generation of its first unsent write
  std::optional<std::size_t> folder;  // of a directory with changes: its place in Batch::folders

  // A file whose content was published before.
  [[nodiscard]] bool attributes_only() const noexcept {
    return !removed && !content && !dirent.is_directory();
  }
};

struct BatchFolder {
  NodeNumber number = 0;
  ObjectId base, built;
  std::vector<BatchEntry> entries;
};

struct Batch {
  LibraryId library;
  Commit base;
  std::uint64_t generation = 0;      // of the library at the time
  std::vector<BatchFolder> folders;  // children before their parents; the top is last
  std::uint64_t bytes = 0;           // of unsent content, at most
  State::Ticket saved = 0;           // when it is committed, state has all contents

  [[nodiscard]] bool has_anything_to_send() const;
};

// What is left for later.
struct CutRules {
  bool all = false;                 // nothing
  std::chrono::milliseconds young;  // names changed since: those of temporary files go again
  std::chrono::milliseconds open;   // files open for writing, unless they are unsent for so long
};

// With the tree's mutex held.  Stages contents that are only in memory.
Batch cut_batch(Library& library, const CutRules& rules);

// Without the mutex, after the files' contents have their ids: builds the
// directories, from the bottom up.  Returns the objects to send; the new root is
// folders.back().built.  May wait for the remote.
std::vector<FsObject> build_directories(Batch& batch, Depot& depot);

// "Added or modified "x".\n" and so on, as real clients describe a commit
// (seafile-protocol, section 1.3).
std::string describe(const Batch& batch);

// Which entries do not stand in the tree under `root`, though the server said
// that it took them: they are marked as skipped, and will be sent again.  May wait.
void skip_what_is_missing(Batch& batch, Depot& depot, const ObjectId& root);

struct Pending {
  std::size_t names = 0;    // files, directories and removals that are not published
  std::uint64_t bytes = 0;  // of files with unsent content
};

// With the tree's mutex held: what was changed up to `generation` and is not sent.
Pending pending(const Library& library, std::uint64_t generation);

// With the tree's mutex held: `commit`, made of this batch, is published.  What was changed
// since the cut stays unsent.
void apply_published(Tree& tree, Library& library, const Batch& batch, const Commit& commit);

}  // namespace nacre
