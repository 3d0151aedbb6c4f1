// SPDX-License-Identifier: Apache-2.0
//
// How MountedFilesystem's members get at what a path names.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "fs/with_tree.hpp"

namespace nacre {

// f(tree, node) for the node at `path`, names with slashes between, from the mount's top.  Nodes
// that only the search has needed go again.
template <class F>
auto MountedFilesystem::with_path(std::string_view path, F f) {
  return with_tree([&](Tree& tree) {
    struct Visit {
      ~Visit() { tree.forget(at->ino, 0); }
      Tree& tree;
      Node* at;
    } visit{tree, &tree.node(root_ino)};
    for (std::size_t begin = 0; begin < path.size();) {
      const auto end = std::min(path.find('/', begin), path.size());
      auto* child = tree.child(*visit.at, path.substr(begin, end - begin));
      if (!child)
        throw Error(Errc::not_found, std::string(path.substr(0, end)) + ": no such file or folder");
      visit.at = child;
      begin = end + 1;
    }
    return f(tree, *visit.at);
  });
}

}  // namespace nacre
