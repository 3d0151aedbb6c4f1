// SPDX-License-Identifier: Apache-2.0
//
// Which entries of a cache must stay: a table of their names, which the entries may not have
// come in under yet.  What is pinned has no turn to go (cache/lru_index.hpp).
// Used inside transactions of the caller.
#pragma once

#include <algorithm>
#include <vector>

#include "base/ids.hpp"
#include "cache/db.hpp"

namespace nacre {

class Pins {
 public:
  Pins() = default;
  explicit Pins(Table table) : table_(table) {}

  [[nodiscard]] bool contains(const ReadTxn& txn, ByteView name) const {
    return txn.get(table_, name).has_value();
  }
  void add(WriteTxn& txn, ByteView name) const { txn.put(table_, name, {}); }
  void remove(WriteTxn& txn, ByteView name) const { txn.erase(table_, name); }

  // Those of a library whose ids are not among `kept`, which is sorted.
  [[nodiscard]] std::vector<Bytes> others(const ReadTxn& txn, const LibraryId& library,
                                          std::span<const ObjectId> kept) const {
    std::vector<Bytes> found;
    const auto prefix = as_bytes(library.text());
    txn.scan(table_, prefix, [&](ByteView name, ByteView) {
      if (name.size() < prefix.size() || !std::ranges::equal(name.first(prefix.size()), prefix))
        return false;
      ObjectId id;
      std::ranges::copy(name.subspan(prefix.size()).first(id.bytes.size()), id.bytes.begin());
      if (!std::ranges::binary_search(kept, id)) found.emplace_back(name.begin(), name.end());
      return true;
    });
    return found;
  }

 private:
  Table table_{};
};

}  // namespace nacre
