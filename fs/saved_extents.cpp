// SPDX-License-Identifier: Apache-2.0
#include "fs/saved_extents.hpp"

#include <algorithm>
#include <iterator>

namespace nacre {

SavedExtents::Runs::const_iterator SavedExtents::find(Index index) const {
  auto after = runs_.upper_bound(index);
  if (after == runs_.begin()) return runs_.end();
  const auto run = std::prev(after);
  return index < run->second.end ? run : runs_.end();
}

void SavedExtents::set(Index index, std::uint64_t version) {
  if (const auto found = find(index); found != runs_.end() && found->second.version == version)
    return;
  erase(index);
  auto run = runs_.emplace(index, Run{index + 1, version}).first;
  if (const auto next = std::next(run);
      next != runs_.end() && next->first == run->second.end && next->second.version == version) {
    run->second.end = next->second.end;
    runs_.erase(next);
  }
  if (run == runs_.begin()) return;
  const auto before = std::prev(run);
  if (before->second.end != index || before->second.version != version) return;
  before->second.end = run->second.end;
  runs_.erase(run);
}

void SavedExtents::erase(Index index) {
  const auto found = find(index);
  if (found == runs_.end()) return;
  const auto first = found->first;
  const auto run = found->second;
  runs_.erase(found);
  if (first < index) runs_.emplace(first, Run{index, run.version});
  if (index + 1 < run.end) runs_.emplace(index + 1, Run{run.end, run.version});
}

void SavedExtents::erase_from(Index first, const std::function<void(Index)>& visit) {
  auto run = runs_.lower_bound(first);
  if (run != runs_.begin()) {
    auto& before = std::prev(run)->second;
    for (auto index = first; index < before.end; ++index) visit(index);
    before.end = std::min(before.end, first);
  }
  for (auto it = run; it != runs_.end(); ++it) {
    for (auto index = it->first; index < it->second.end; ++index) visit(index);
  }
  runs_.erase(run, runs_.end());
}

void SavedExtents::erase_up_to_version(std::uint64_t version,
                                       const std::function<void(Index)>& visit) {
  for (auto run = runs_.begin(); run != runs_.end();) {
    if (run->second.version > version) {
      ++run;
      continue;
    }
    for (auto index = run->first; index < run->second.end; ++index) visit(index);
    run = runs_.erase(run);
  }
}

}  // namespace nacre
