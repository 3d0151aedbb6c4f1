// SPDX-License-Identifier: Apache-2.0
#include "remote/merge.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "remote/conflict_name.hpp"

namespace nacre {

namespace {

bool is_file(const Dirent* entry) noexcept { return entry != nullptr && !entry->is_directory(); }
bool is_folder(const Dirent* entry) noexcept { return entry != nullptr && entry->is_directory(); }

// Equality of contents.  An empty file and an empty directory share an id, so the kind counts.
bool same(const Dirent* a, const Dirent* b) noexcept {
  if (a == nullptr || b == nullptr) return a == b;
  return a->id == b->id && a->is_directory() == b->is_directory();
}

bool same_attributes(const Dirent* a, const Dirent* b) noexcept {
  return a->mode == b->mode && a->mtime == b->mtime;
}

}  // namespace

MergeChoice decide(const Dirent* base, const Dirent* ours, const Dirent* theirs) {
  if (same(ours, theirs)) {
    const bool only_we_touched = ours != nullptr && same(base, theirs) &&
                                 same_attributes(base, theirs) && !same_attributes(ours, theirs);
    return only_we_touched ? MergeChoice::ours : MergeChoice::theirs;
  }
  if (same(base, ours)) return MergeChoice::theirs;
  if (same(base, theirs)) return MergeChoice::ours;
  // Both changed it, each to something else.
  if (is_file(ours)) return theirs == nullptr ? MergeChoice::ours : MergeChoice::both;
  if (is_file(theirs)) return ours == nullptr ? MergeChoice::theirs : MergeChoice::both;
  if (is_folder(base) || (is_folder(ours) && is_folder(theirs))) return MergeChoice::descend;
  // A file became a directory on one side and went on the other.
  return ours == nullptr ? MergeChoice::theirs : MergeChoice::ours;
}

namespace {

// The longest path that Linux takes has no more names than this.
constexpr int max_depth = 2048;

class TreeMerge {
 public:
  TreeMerge(const MergeSource& source, const std::string& who) : source_(source), who_(who) {}

  ObjectId merge(const ObjectId& base, const ObjectId& ours, const ObjectId& theirs, int depth);

  [[nodiscard]] bool conflict() const noexcept { return conflict_; }

 private:
  // What is left over for a directory once its names have been walked.
  struct Pending {
    Directory merged;
    std::vector<Dirent> losers;  // each wants a conflict name beside the winner
  };

  [[nodiscard]] Directory read(const ObjectId& id) const {
    return id.is_empty() ? Directory{} : source_.read(id);
  }
  void merge_name(const Dirent* base, const Dirent* ours, const Dirent* theirs, int depth,
                  Pending& pending);
  void place(Dirent loser, Directory& merged);

  const MergeSource& source_;
  const std::string& who_;
  bool conflict_ = false;
};

void TreeMerge::merge_name(const Dirent* base, const Dirent* ours, const Dirent* theirs, int depth,
                           Pending& pending) {
  auto& entries = pending.merged.entries;
  switch (decide(base, ours, theirs)) {
    case MergeChoice::ours:
      if (ours != nullptr) entries.push_back(*ours);
      return;
    case MergeChoice::theirs:
      if (theirs != nullptr) entries.push_back(*theirs);
      return;
    case MergeChoice::both:
      entries.push_back(*theirs);
      pending.losers.push_back(*ours);
      return;
    case MergeChoice::descend: {
      // What is no directory on a side has nothing in it there.
      const auto id = [](const Dirent* entry) { return is_folder(entry) ? entry->id : ObjectId{}; };
      const auto merged = merge(id(base), id(ours), id(theirs), depth + 1);
      entries.push_back(theirs != nullptr ? *theirs : *ours);
      entries.back().id = merged;
      return;
    }
  }
}

// Gives a conflict's loser a name that nobody has; its content being there already is as good.
void TreeMerge::place(Dirent loser, Directory& merged) {
  const auto& who = loser.modifier.empty() ? who_ : loser.modifier;
  const auto taken_by_other = [&](const std::string& name) {
    const auto* taken = merged.find(name);
    return taken != nullptr && !same(taken, &loser);
  };
  loser.name = free_conflict_name(loser.name, std::string_view(who).substr(0, who.find('@')),
                                  loser.mtime, taken_by_other);
  if (merged.find(loser.name) != nullptr) return;
  conflict_ = true;
  const auto at =
      std::ranges::lower_bound(merged.entries, loser.name, std::ranges::greater{}, &Dirent::name);
  merged.entries.insert(at, std::move(loser));
}

ObjectId TreeMerge::merge(const ObjectId& base, const ObjectId& ours, const ObjectId& theirs,
                          int depth) {
  if (ours == theirs || base == ours) return theirs;
  if (base == theirs) return ours;
  if (depth > max_depth) throw Error(Errc::corrupt, "merge: directories are nested too deep");

  const auto b = read(base), o = read(ours), t = read(theirs);
  Pending pending;
  // Three lists in step, each descending.
  auto at_b = b.entries.begin();
  auto at_o = o.entries.begin();
  auto at_t = t.entries.begin();
  const auto name_at = [](const auto& at, const Directory& in) {
    return at == in.entries.end() ? std::string_view() : std::string_view(at->name);
  };
  for (;;) {
    // No name is empty, so that the end of a list sorts last.
    const auto name = std::max({name_at(at_b, b), name_at(at_o, o), name_at(at_t, t)});
    if (name.empty()) break;
    const auto take = [&](auto& at, const Directory& in) -> const Dirent* {
      return name_at(at, in) == name ? &*at++ : nullptr;
    };
    const auto* in_base = take(at_b, b);
    const auto* in_ours = take(at_o, o);
    const auto* in_theirs = take(at_t, t);
    merge_name(in_base, in_ours, in_theirs, depth, pending);
  }
  for (auto& loser : pending.losers) place(std::move(loser), pending.merged);

  const auto& merged = pending.merged.entries;
  if (merged.empty()) return {};
  if (merged == t.entries) return theirs;
  if (merged == o.entries) return ours;
  return source_.write(pending.merged);
}

}  // namespace

MergeResult merge_trees(const MergeSource& source, const ObjectId& base, const ObjectId& ours,
                        const ObjectId& theirs, const std::string& who) {
  TreeMerge merge(source, who);
  MergeResult result;
  result.root = merge.merge(base, ours, theirs, 0);
  result.conflict = merge.conflict();
  return result;
}

}  // namespace nacre
