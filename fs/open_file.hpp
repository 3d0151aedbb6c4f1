// SPDX-License-Identifier: Apache-2.0
//
// One open(2).  Keeps its node in memory until Filesystem::release().
#pragma once

#include <memory>

#include "fs/tree.hpp"

namespace nacre {

class OpenFile {
 public:
  Node* node = nullptr;
  std::shared_ptr<FileContent> content;
  bool writer = false;
};

}  // namespace nacre
