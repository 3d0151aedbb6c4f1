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

TEST_CASE("a folder moved onto a folder of theirs merges name by name", "[sync]") {
  Cloud cloud;
  Machine here(cloud, "here"), there(cloud, "there");
  here.mkdir("d");
  here.write("d/same", "same");
  here.write("d/f", "ours");
  here.sync();
  there.sync();
  here.rename("d", "e");
  there.mkdir("e");
  there.write("e/same", "same");
  there.write("e/f", "their f");
  there.sync();
  here.sync();
  there.sync();
  const auto tree = here.tree();
  CHECK(tree == there.tree());
  CHECK(tree.at("e/f") == "their f");
  CHECK(tree.at("e/same") == "same");
  CHECK(conflict_copies(tree) == 1);
  CHECK(tree.size() == 4);
}

TEST_CASE("a file that equals a copy that stands already is no other copy", "[sync]") {
  Cloud cloud;
  Machine here(cloud, "here"), there(cloud, "there");
  here.write("n", "1");
  there.write("n", "2");
  here.sync();
  there.sync();
  here.sync();
  const auto tree = here.tree();
  const auto copy = std::ranges::find_if(tree, [](const auto& e) { return e.first != "n"; })->first;
  REQUIRE(there.tree().at(copy) == "2");  // looked at
  here.write("n", "theirs");
  here.write(copy, "same!!");
  here.sync();
  there.write("n", "same!!");
  there.sync();
  here.sync();
  CHECK(there.tree() == Tree{{"n", "theirs"}, {copy, "same!!"}});
  CHECK(here.tree() == there.tree());
}

TEST_CASE("a folder that the server moved out of a file's way is there once", "[sync]") {
  Cloud cloud;
  Machine here(cloud, "here"), there(cloud, "there");
  here.mkdir("d");
  here.write("d/old", "0");
  here.sync();
  there.sync();
  here.write("d/ours", "1");
  there.unlink("d/old");
  there.rmdir("d");
  there.write("d", "file");
  const bool changed_again = GENERATE(false, true);
  bool done = false;
  here.watch.before = [&](std::string_view member) {
    if (member != "publish" || std::exchange(done, true)) return;
    there.sync();
    if (changed_again) here.write("d/later", "2");
  };
  here.sync();
  here.watch.before = {};
  here.sync();
  there.sync();
  const auto tree = here.tree();
  CHECK(there.tree() == tree);
  CHECK(tree.at("d") == "file");
  const auto copy =
      std::ranges::find_if(tree, [](const auto& e) { return e.second == "/"; })->first;
  CHECK(tree.at(copy + "/old") == "0");
  CHECK(tree.at(copy + "/ours") == "1");
  if (changed_again) CHECK(tree.at(copy + "/later") == "2");
  CHECK(tree.size() == (changed_again ? 5U : 4U));
}

TEST_CASE("changes that were laid over a newer folder are over it after a crash too", "[sync]") {
  Cloud cloud;
  Machine here(cloud, "here"), there(cloud, "there");
  here.mkdir("d");
  here.write("d/base", "0");
  here.sync();
  there.sync();
  here.write("d/ours", "1");
  there.write("d/theirs", "2");
  there.sync();
  here.restart();  // has theirs, has not sent ours
  here.crash();
  here.mount();
  here.sync();
  there.sync();
  CHECK(there.tree() == Tree{{"d", "/"}, {"d/base", "0"}, {"d/ours", "1"}, {"d/theirs", "2"}});
}

TEST_CASE("what is open for writing outlives a delete by others", "[sync]") {
  Cloud cloud;
  Machine here(cloud, "here"), there(cloud, "there");
  here.mkdir("d");
  here.mkdir("d/s");
  here.write("d/s/f", "old");
  here.write("d/other", "gone");
  here.sync();
  there.sync();
  const auto file = here.fs().open(here.walk("d/s/f"), O_RDWR).handle;
  there.unlink("d/s/f");
  there.rmdir("d/s");
  there.unlink("d/other");
  there.rmdir("d");
  there.sync();
  here.sync();
  here.fs().write(file, 0, as_bytes("new"));
  here.fs().flush(file);
  here.fs().release(file);
  here.sync();
  there.sync();
  CHECK(there.tree() == Tree{{"d", "/"}, {"d/s", "/"}, {"d/s/f", "new"}});
  CHECK(here.tree() == there.tree());
}

TEST_CASE("renaming and moving a folder of a thousand files sends its way only", "[sync]") {
  Cloud cloud;
  Machine here(cloud, "here"), there(cloud, "there");
  here.mkdir("big");
  here.mkdir("a");
  here.mkdir("a/b");
  here.write("a/b/stays", "s");
  for (int folder = 0; folder < 50; ++folder) {
    const auto in = "big/" + std::to_string(folder);
    here.mkdir(in);
    for (int i = 0; i < 20; ++i)
      here.write(in + "/" + std::to_string(i), std::to_string(folder * 20 + i));
  }
  here.sync();
  there.sync();
  const auto entry = [&](const ObjectId& folder, const std::string& name) {
    const auto read = cloud.remote()->objects(cloud.library, std::vector{folder});
    return read_directory(folder, read.at(0).json).find(name)->id;
  };
  const auto root = [&] { return cloud.remote()->commit(cloud.library, cloud.head()).root; };
  const auto id = entry(root(), "big");

  here.watch.reset();
  here.rename("big", "renamed");
  here.sync();
  CHECK(here.watch.put_blocks == 0);
  CHECK(here.watch.put_objects == 1);  // the top
  CHECK(entry(root(), "renamed") == id);

  here.watch.reset();
  here.rename("renamed", "a/b/moved");
  here.sync();
  CHECK(here.watch.put_blocks == 0);
  CHECK(here.watch.put_objects == 3);  // the top, a, and b
  CHECK(here.watch.put_bytes < 2000);
  CHECK(entry(entry(entry(root(), "a"), "b"), "moved") == id);

  there.watch.reset();
  there.sync();
  CHECK(there.watch.got_blocks == 0);
  CHECK(there.watch.got_objects <= 3);
  CHECK(there.read("a/b/moved/49/19") == "999");
}
