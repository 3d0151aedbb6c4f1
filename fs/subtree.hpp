// SPDX-License-Identifier: Apache-2.0
//
// What stands below a file or folder of the mount: what is as it was published, by
// ids, and what was changed here.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "fs/batch.hpp"
#include "fs/depot.hpp"
#include "fs/tree.hpp"

namespace nacre {

// A whole published file or folder.
struct PublishedEntry {
  LibraryId library;
  std::string path;  // in the library
  ObjectId id;
  std::uint64_t size = 0;  // of a file
  bool folder = false;
};

struct Subtree {
  std::vector<PublishedEntry> published;
  Pending unsent;
  std::uint64_t changed_files = 0;  // those with unsent contents, and their sizes
  std::uint64_t changed_bytes = 0;
};

// A node's path in its library; empty for its top.
std::string path_in_library(const Node& node);

// With the tree's mutex held.  What it takes to look into a changed folder may be thrown as
// NeedDirectory; libraries that nobody has opened yet are left out.
Subtree subtree_of(Tree& tree, const Node& node);

// What is asked for where it is not on this machine: nothing, folders, or also what names the
// blocks of files.
enum class Reach { here, folders, files };

struct SubtreeVisitor {
  std::function<bool(const PublishedEntry&)> file;       // false: enough
  std::function<void(const PublishedEntry&)> folder;     // before what is in it; may be empty
  std::function<void(const PublishedEntry&)> not_known;  // a folder; with Reach::here
  // After each entry: what part of all is done, supposed that folders side by side are alike.
  std::function<void(double)> part = {};
};

// Visits all that is below `top`, and it, without any lock.  May wait unless it is Reach::here,
// and then asks for all that a folder names in as few requests as it takes.
void visit(Depot& depot, const PublishedEntry& top, Reach reach, const SubtreeVisitor& visitor);

}  // namespace nacre
