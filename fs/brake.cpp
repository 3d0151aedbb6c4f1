// SPDX-License-Identifier: Apache-2.0
#include "fs/brake.hpp"

#include <algorithm>
#include <unordered_map>
#include <vector>

namespace nacre {
namespace {

template <class Key>
using Counts = std::unordered_map<Key, std::size_t>;

template <class Key>
bool take_one(Counts<Key>& counts, const Key& key) {
  const auto found = counts.find(key);
  if (found == counts.end() || found->second == 0) return false;
  --found->second;
  return true;
}

// Something published that no longer stands at its name.
struct Gone {
  ObjectId id;
  std::uint64_t size = 0;
  bool folder = false;
};

Gone gone(const Dirent& dirent) { return {dirent.id, dirent.size, dirent.is_directory()}; }

class Losses {
 public:
  Losses(const Batch& batch, Depot& depot, const BrakeRules& rules)
      : batch_(batch), depot_(depot), rules_(rules) {}

  bool too_many(const IdOfContent& id_of) {
    for (const auto& folder : batch_.folders) compare(folder);
    for (const auto& each : gone_) {
      count(each);
      if (certain_ > rules_.most) return true;
    }
    return lost_ > rules_.most && !written_back(id_of);
  }

 private:
  // What goes from a published directory, and what stands in it anew.
  void compare(const BatchFolder& folder) {
    const auto base = depot_.directory(batch_.library, folder.base);
    for (const auto& entry : folder.entries) {
      const auto* before = base->find(entry.name);
      const auto& now = entry.folder ? batch_.folders[*entry.folder].base : entry.dirent.id;
      const bool published = !entry.removed && !entry.content;
      const bool stays = published && before && before->id == now &&
                         before->is_directory() == entry.dirent.is_directory();
      if (stays) continue;
      if (published) ++kept_[now];
      if (entry.content) {
        contents_.emplace_back(entry.number, entry.size);
        ++sizes_[entry.size];
      }
      if (before && std::max(entry.generation, entry.dirty_since) > rules_.confirmed)
        gone_.push_back(gone(*before));
    }
  }

  void count(const Gone& top) {
    std::vector<Gone> next = {top};
    while (!next.empty() && certain_ <= rules_.most) {
      const auto each = next.back();
      next.pop_back();
      if (take_one(kept_, each.id)) continue;  // it was moved
      if (!each.folder) {
        count_file(each);
        continue;
      }
      const auto directory = depot_.directory(batch_.library, each.id);
      std::vector<ObjectId> folders;
      for (const auto& dirent : directory->entries) {
        next.push_back(gone(dirent));
        if (dirent.is_directory()) folders.push_back(dirent.id);
      }
      depot_.fetch_objects(batch_.library, folders);
    }
  }

  void count_file(const Gone& file) {
    ++lost_;
    ++ids_[file.id];
    ++lost_sizes_[file.size];
    if (!take_one(sizes_, file.size)) ++certain_;
  }

  // Whether so much of what seems lost is the content of a file that was written anew that
  // the rest is few.  Contents are hashed until that is clear.
  bool written_back(const IdOfContent& id_of) {
    std::erase_if(contents_,
                  [&](const auto& content) { return !lost_sizes_.contains(content.second); });
    auto left = contents_.size();
    for (const auto& [number, size] : contents_) {
      if (lost_ <= rules_.most || lost_ > rules_.most + left) break;
      --left;
      if (take_one(ids_, id_of(number))) --lost_;
    }
    return lost_ <= rules_.most;
  }

  const Batch& batch_;
  Depot& depot_;
  const BrakeRules& rules_;
  std::vector<Gone> gone_;
  Counts<ObjectId> kept_;                                       // published, and stands elsewhere
  std::vector<std::pair<NodeNumber, std::uint64_t>> contents_;  // written, with their sizes
  Counts<std::uint64_t> sizes_;                                 // of them
  std::size_t lost_ = 0;     // files; some of them may have been written back
  std::size_t certain_ = 0;  // of them: nothing written has their size
  Counts<ObjectId> ids_;     // of the lost
  Counts<std::uint64_t> lost_sizes_;
};

}  // namespace

bool loses_too_much(const Batch& batch, Depot& depot, const BrakeRules& rules,
                    const IdOfContent& id_of) {
  return Losses(batch, depot, rules).too_many(id_of);
}

}  // namespace nacre
