// SPDX-License-Identifier: Apache-2.0
//
// Which extents of a file state has, and which version of the file each was last changed in.
// Neighbours that were changed in one version are one run, so that a file written from
// beginning to end takes a few bytes, however large it is.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

namespace nacre {

class SavedExtents {
 public:
  using Index = std::uint64_t;

  [[nodiscard]] bool contains(Index index) const { return find(index) != runs_.end(); }
  void set(Index index, std::uint64_t version);
  void erase(Index index);
  // Each index that goes is visited.
  void erase_from(Index first, const std::function<void(Index)>& visit);
  void erase_up_to_version(std::uint64_t version, const std::function<void(Index)>& visit);

  // Of memory, about.
  [[nodiscard]] std::uint64_t bytes() const noexcept { return runs_.size() * run_bytes; }

 private:
  struct Run {
    Index end;  // exclusive
    std::uint64_t version;
  };
  using Runs = std::map<Index, Run>;  // by the first index; apart, or of different versions
  static constexpr std::uint64_t run_bytes = 80;

  [[nodiscard]] Runs::const_iterator find(Index index) const;

  Runs runs_;
};

}  // namespace nacre
