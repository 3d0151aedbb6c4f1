// SPDX-License-Identifier: Apache-2.0
//
// One open(2).  Keeps its node in memory until Filesystem::release().
#pragma once

#include <memory>
#include <optional>

#include "fs/tree.hpp"

namespace nacre {

class OpenFile {
 public:
  // A file of an old tree, which has no node in the live one.
  struct Snapshot {
    Ino ino;
    LibraryId library;
    ObjectId id;
  };

  Node* node = nullptr;
  std::optional<Snapshot> snapshot;  // or else this
  std::shared_ptr<FileContent> content;
  bool writer = false;
  bool only_here = false;  // nothing is fetched for who reads it
};

}  // namespace nacre
