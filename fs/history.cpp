// SPDX-License-Identifier: Apache-2.0
#include "fs/history.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace nacre {
namespace {

constexpr std::size_t most_commits = 1000;  // looked at for one page

bool same(const std::optional<Dirent>& a, const std::optional<Dirent>& b) {
  if (!a || !b) return !a && !b;
  return a->id == b->id && a->is_directory() == b->is_directory();
}

struct Point {
  Commit commit;
  std::optional<Dirent> entry;
};

}  // namespace

std::optional<Dirent> entry_at(Depot& depot, const LibraryId& library, const ObjectId& root,
                               std::string_view path) {
  Dirent entry;
  entry.id = root;
  entry.mode = mode_directory;
  for (std::size_t begin = 0; begin < path.size();) {
    const auto end = std::min(path.find('/', begin), path.size());
    if (!entry.is_directory()) return std::nullopt;
    const auto directory = depot.directory(library, entry.id);
    const auto* found = directory->find(path.substr(begin, end - begin));
    if (!found) return std::nullopt;
    entry = *found;
    begin = end + 1;
  }
  return entry;
}

HistoryPage history_of(Depot& depot, const LibraryId& library, std::string_view path,
                       const ObjectId& from, std::size_t most,
                       const std::function<void(std::uint64_t)>& told) {
  HistoryPage page;
  auto& remote = depot.remote();
  const auto entry_in = [&](const Commit& commit) {
    return entry_at(depot, library, commit.root, path);
  };
  const auto note = [&](const Point& point, const std::optional<Dirent>& before) {
    using Change = PathVersion::Change;
    const auto change = !point.entry ? Change::removed : before ? Change::modified : Change::added;
    page.versions.push_back({point.commit, change, point.entry ? *point.entry : *before});
  };
  auto first = remote.commit(library, from);
  Point here{first, entry_in(first)};
  for (std::size_t looked = 1;; ++looked) {
    if (told) told(looked);
    if (page.versions.size() == most || looked > most_commits) {
      page.next = here.commit.id;
      return page;
    }
    std::vector<Point> parents;
    bool followed = false;
    for (const auto& id : {here.commit.parent, here.commit.second_parent}) {
      if (!id || followed) continue;
      try {
        auto commit = remote.commit(library, *id);
        auto entry = commit.root == here.commit.root ? here.entry : entry_in(commit);
        followed = same(entry, here.entry);
        parents.push_back({std::move(commit), std::move(entry)});
      } catch (const Error& error) {
        if (error.code() != Errc::not_found && error.code() != Errc::gone) throw;
        page.forgotten = true;  // servers forget old commits
      }
    }
    if (!followed && (!parents.empty() || here.entry))
      note(here, parents.empty() ? std::nullopt : parents.front().entry);
    if (parents.empty()) return page;
    here = followed ? std::move(parents.back()) : std::move(parents.front());
  }
}

}  // namespace nacre
