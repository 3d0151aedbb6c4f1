// SPDX-License-Identifier: Apache-2.0
//
// Puts a library's unsent changes on top of a newer published tree: the
// three-way merge of DESIGN's "life of a remote change", at the level of names.
// Both sides of a conflict survive, ours under Seafile's conflict name; a delete
// never beats an edit; what is equal on both sides is no conflict.
//
// All functions are called with the tree's mutex held and do no I/O.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "fs/tree.hpp"

namespace nacre {

// What the kernel has to be told, once the mutex is released.
struct Notices {
  std::vector<std::pair<Ino, std::string>> entries;
  std::vector<Ino> data;

  void tell(Kernel& kernel) const;
};

// What must be known before rebase() can run without asking anybody.
struct RebaseNeeds {
  std::vector<ObjectId> directories;
  // Files that both sides changed, of equal size: whether they are equal shows
  // when ours has been cut and hashed.
  std::vector<NodeNumber> ids;
};
// `known` as below; `root` is the newer tree.
using KnownIds = std::map<NodeNumber, std::pair<std::uint64_t, ObjectId>>;  // version, id
RebaseNeeds rebase_needs(Tree& tree, Library& library, const ObjectId& root, const KnownIds& known);

// Makes `commit` the library's base.  Call when rebase_needs() says nothing is missing.
// Returns the names of the conflict copies it made.
std::vector<std::string> rebase(Tree& tree, Library& library, const Commit& commit,
                                const KnownIds& known, Notices& notices);

}  // namespace nacre
