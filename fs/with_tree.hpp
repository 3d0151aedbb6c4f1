// SPDX-License-Identifier: Apache-2.0
//
// How MountedFilesystem's members use the tree: under its mutex, and without
// it for whatever has to be fetched.
#pragma once

#include <type_traits>
#include <utility>

#include "fs/mounted_filesystem.hpp"

namespace nacre {

template <class F>
auto MountedFilesystem::with_tree(F f) {
  for (;;) {
    LibraryId library;
    ObjectId directory;  // empty: the library's head
    {
      const std::lock_guard lock(mutex_);
      try {
        return f(tree_);
      } catch (const NeedDirectory& need) {
        library = need.library;
        directory = need.id;
      } catch (const NeedLibrary& need) {
        library = need.id;
      }
    }
    fetch(library, directory);
  }
}

// f returns the library that it changed, and its result.
template <class F>
auto MountedFilesystem::change_tree(F f, Safe when) {
  State::Ticket ticket = 0;
  LibrarySync* sync = nullptr;
  auto result = with_tree([&](Tree& tree) {
    auto [library, value] = f(tree);
    ticket = tree.stage();
    if (library && ticket != 0) sync = syncs_.at(library->id).get();
    return value;
  });
  if (ticket != 0) {
    if (when == Safe::now) state_.commit(ticket);
    sync->poke();
  }
  return result;
}

}  // namespace nacre
