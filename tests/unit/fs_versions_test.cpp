// SPDX-License-Identifier: Apache-2.0
//
// What became of one path, along lines of history that meet.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "content_fixture.hpp"
#include "crypto/random.hpp"
#include "fs/history.hpp"

using namespace nacre;
using namespace nacre::test;
using Change = PathVersion::Change;

namespace {

struct Versions : ContentFixture {
  // A commit whose tree has "d/file" with these contents, if any, beside something else.
  ObjectId commit(std::optional<std::string> text, const std::string& beside,
                  std::vector<ObjectId> parents) {
    Directory root;
    if (text) {
      const auto file = add_file(as_bytes(*text), {text->size()}, nullptr);
      Directory d;
      d.entries.push_back({"file", file, mode_file, 1, text->size(), "me@example.com"});
      root.entries.push_back(
          {"d", remote.add_object(library, write_directory(d)), mode_directory, 0, 0, {}});
    }
    const auto other = add_file(as_bytes(beside), {beside.size()}, nullptr);
    root.entries.push_back({"beside", other, mode_file, 1, beside.size(), "me@example.com"});
    root.sort();
    Commit made;
    made.id = random_id();
    made.library = library;
    made.root = remote.add_object(library, write_directory(root));
    if (!parents.empty()) made.parent = parents[0];
    if (parents.size() > 1) made.second_parent = parents[1];
    remote.put_commit(made);
    return made.id;
  }

  std::vector<std::pair<ObjectId, Change>> of(const ObjectId& head, std::size_t most = 100) {
    page = history_of(*depot, library, "d/file", head, most);
    std::vector<std::pair<ObjectId, Change>> all;
    for (const auto& version : page.versions) all.emplace_back(version.commit.id, version.change);
    return all;
  }

  HistoryPage page;
};
using Expected = std::vector<std::pair<ObjectId, Change>>;

}  // namespace

TEST_CASE_METHOD(Versions, "only commits that touched the path are its history, in pages") {
  const auto empty = commit({}, "1", {});
  const auto added = commit("a", "1", {empty});
  const auto beside = commit("a", "2", {added});
  const auto changed = commit("b", "2", {beside});
  const auto removed = commit({}, "2", {changed});
  const auto head = commit({}, "3", {removed});
  CHECK(of(head) ==
        Expected{{removed, Change::removed}, {changed, Change::modified}, {added, Change::added}});
  CHECK_FALSE(page.next);
  CHECK(page.versions[0].entry.size == 1);  // as it was before

  CHECK(of(head, 2) == Expected{{removed, Change::removed}, {changed, Change::modified}});
  REQUIRE(page.next);
  CHECK(of(*page.next) == Expected{{added, Change::added}});
}

TEST_CASE_METHOD(Versions, "where lines meet, the one is followed that the path came from") {
  const auto first = commit("a", "1", {});
  const auto theirs = commit("a", "2", {first});
  const auto ours = commit("b", "1", {first});
  const auto merge = commit("b", "2", {theirs, ours});
  CHECK(of(merge) == Expected{{ours, Change::modified}, {first, Change::added}});
  const auto both = commit("c", "2", {theirs, ours});  // the merge itself changed it
  CHECK(of(both) == Expected{{both, Change::modified}, {first, Change::added}});
}

TEST_CASE_METHOD(Versions, "commits that the server has forgotten end the history, and are told") {
  const auto forgotten = random_id();
  const auto changed = commit("b", "1", {commit("a", "1", {forgotten})});
  CHECK(of(changed).size() == 2);
  CHECK(page.forgotten);
  CHECK_FALSE(page.next);
}
