// SPDX-License-Identifier: Apache-2.0
//
// Unsent changes as plain files: <folder>/<library>/<path>, with times and exec
// bits.  What a file lacks of its published part comes from cache or server; where
// neither has it, what there is becomes NAME.incomplete.  Removals and renames are lines
// of <folder>/<library>.changes.txt.  Nothing that exists is ever written over.
#pragma once

#include <filesystem>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "fs/tree.hpp"

namespace nacre {

struct Rescued {
  std::uint64_t files = 0, bytes = 0;
  std::uint64_t changes = 0;  // removals, renames, and changes of attributes: lines of the lists
  struct Incomplete {
    std::string path, why;
  };
  std::vector<Incomplete> incomplete;
};

class Rescue {
 public:
  // `folder` is absolute, and new or empty.  Throws Error{not_empty, denied, full}.
  Rescue(const std::filesystem::path& folder, Tree& tree, std::mutex& tree_mutex, State& state);

  // Holds the tree's mutex over no I/O.  What goes wrong with a file is in the result.
  void add(Library& library);

  // Brings all of it to the disk.
  Rescued finish();

 private:
  struct Item;
  struct Found;
  void collect(const Node& folder, const std::filesystem::path& path, Found& found) const;
  std::filesystem::path folder_of(const Library& library);
  void write(const LibraryId& library, const std::filesystem::path& folder, const Item& item);
  std::string copy(const LibraryId& library, const Item& item, int out);
  std::string copy_piece(const LibraryId& library, const Item& item, int out, std::uint64_t offset,
                         MutableByteView piece, int& failures);
  void list_changes(const std::filesystem::path& folder, const Library& library,
                    const Found& found);

  const std::filesystem::path folder_;
  Tree& tree_;
  std::mutex& tree_mutex_;
  State& state_;
  std::set<std::string> taken_;  // names of libraries' folders
  Rescued result_;
};

}  // namespace nacre
