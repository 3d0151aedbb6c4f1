// SPDX-License-Identifier: Apache-2.0
//
// What several machines do to one library at once: afterwards all have the same
// tree, and nothing that somebody wrote is lost.
#include <random>
#include <set>

#include "machine.hpp"

using namespace nacre;
using namespace nacre::test;
using Tree = FileTree;

TEST_CASE("both sides of a conflict survive", "[sync]") {
  Cloud cloud;
  Machine here(cloud, "here"), there(cloud, "there");
  here.mkdir("d");
  here.write("d/f.txt", "base");
  here.write("g", "base");
  here.sync();
  there.sync();

  SECTION("both edited") {
    here.write("d/f.txt", "ours");
    there.write("d/f.txt", "theirs");
    there.sync();
    here.sync();
    there.sync();
    const auto tree = here.tree();
    CHECK(tree == there.tree());
    CHECK(tree.at("d/f.txt") == "theirs");
    CHECK(conflict_copies(tree) == 1);
    CHECK(std::ranges::any_of(tree, [](const auto& e) { return e.second == "ours"; }));
  }
  SECTION("both edited alike") {
    here.write("d/f.txt", "same!");
    there.write("d/f.txt", "same!");
    there.sync();
    here.sync();
    CHECK(here.tree() == Tree{{"d", "/"}, {"d/f.txt", "same!"}, {"g", "base"}});
    CHECK(here.tree() == there.tree());
  }
  SECTION("one edits what the other deletes") {
    here.write("g", "edited");
    there.unlink("g");
    there.unlink("d/f.txt");
    there.rmdir("d");
    there.sync();
    here.sync();
    there.sync();
    CHECK(here.tree() == Tree{{"g", "edited"}});
    CHECK(there.tree() == here.tree());
  }
  SECTION("one deletes what the other edits") {
    here.unlink("d/f.txt");
    here.rmdir("d");
    there.write("d/f.txt", "edited");
    there.write("d/more", "new");
    there.sync();
    here.sync();
    there.sync();
    CHECK(here.tree() == Tree{{"d", "/"}, {"d/f.txt", "edited"}, {"d/more", "new"}, {"g", "base"}});
    CHECK(there.tree() == here.tree());
  }
  SECTION("one renames a directory, the other adds to it") {
    here.rename("d", "renamed");
    there.write("d/new", "n");
    there.sync();
    here.sync();
    there.sync();
    const auto tree = here.tree();
    CHECK(tree == there.tree());
    CHECK(tree.at("renamed/f.txt") == "base");
    CHECK(tree.at("d/new") == "n");
  }
  SECTION("a file here, a directory there") {
    here.write("x", "file");
    there.mkdir("x");
    there.write("x/inside", "i");
    there.sync();
    here.sync();
    there.sync();
    const auto tree = here.tree();
    CHECK(tree == there.tree());
    CHECK(tree.at("x/inside") == "i");
    CHECK(std::ranges::any_of(tree, [](const auto& e) { return e.second == "file"; }));
  }
  SECTION("the same new directory on both") {
    here.mkdir("n");
    here.write("n/ours", "1");
    there.mkdir("n");
    there.write("n/theirs", "2");
    there.sync();
    here.sync();
    there.sync();
    CHECK(here.tree() == there.tree());
    CHECK(here.tree().at("n/ours") == "1");
    CHECK(here.tree().at("n/theirs") == "2");
    CHECK(conflict_copies(here.tree()) == 0);
  }
}
