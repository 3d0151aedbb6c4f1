// SPDX-License-Identifier: Apache-2.0
//
// The brake on deletions: whether a batch would take more from the server than a person
// does in passing.  What is moved, or written back as it was, is not lost.
#pragma once

#include <cstdint>
#include <functional>

#include "fs/batch.hpp"
#include "fs/depot.hpp"

namespace nacre {

struct BrakeRules {
  std::size_t most = 0;         // published files that may be deleted or overwritten
  std::uint64_t confirmed = 0;  // changes up to this generation were agreed to
};

// The id of a changed file's content, by its number.  May wait.
using IdOfContent = std::function<ObjectId(NodeNumber)>;

// Of a batch as it was cut.  Looks no further than it takes to tell.  May wait; what cannot be
// found out is an Error, and not a no.
bool loses_too_much(const Batch& batch, Depot& depot, const BrakeRules& rules,
                    const IdOfContent& id_of);

}  // namespace nacre
