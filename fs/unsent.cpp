// SPDX-License-Identifier: Apache-2.0
#include "fs/unsent.hpp"

#include <algorithm>

#include "fs/records.hpp"

namespace nacre {

std::map<LibraryId, std::size_t> unsent_names(State& state) {
  constexpr std::size_t id_size = 36;  // of a library, at the beginning of its keys
  std::map<LibraryId, std::size_t> found;
  state.scan_keys({}, [&](ByteView key) {
    if (key.size() < id_size) return;
    const auto id = LibraryId::parse(as_text(key.first(id_size)));
    if (!id) return;
    const auto entries = record_key::entries(*id);
    if (key.size() > entries.size() && std::ranges::equal(key.first(entries.size()), entries))
      ++found[*id];
  });
  return found;
}

}  // namespace nacre
