// SPDX-License-Identifier: Apache-2.0
//
// Three-way merge of directory trees by names and ids, by Seafile's rules
// (seafile-protocol, section 5.10): both sides of a conflict survive, the
// loser under a conflict name; a delete never beats an edit.  Where the specification says head,
// theirs is meant; where it says remote, ours.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "remote/objects.hpp"

namespace nacre {

// What becomes of one name.
enum class MergeChoice {
  ours,     // take our entry (or its absence)
  theirs,   // take their entry (or its absence)
  both,     // theirs keeps the name, ours moves to a conflict name
  descend,  // directories on the sides that have it: merge their contents
};

// Decides by presence, kind and id; mode and mtime break ties between equal
// ids (the side that changed them wins).  nullptr: no such entry on that side.
MergeChoice decide(const Dirent* base, const Dirent* ours, const Dirent* theirs);

struct MergeSource {
  // Reads a directory; called only for ids that differ.  The empty id is never asked for.
  std::function<Directory(const ObjectId&)> read;
  // Stores a merged directory (never an empty one) and returns its id.
  std::function<ObjectId(const Directory&)> write;
};

struct MergeResult {
  ObjectId root;
  bool conflict = false;
};

// Merges whole trees.  `who` names the loser's author in conflict names where the
// entry has no modifier.
MergeResult merge_trees(const MergeSource& source, const ObjectId& base, const ObjectId& ours,
                        const ObjectId& theirs, const std::string& who);

}  // namespace nacre
