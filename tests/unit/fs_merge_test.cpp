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

TEST_CASE("whatever two machines do at random, they end alike and nothing written is lost",
          "[sync]") {
  const auto seed = GENERATE(range(1U, 13U));
  CAPTURE(seed);
  Cloud cloud;
  Machine one(cloud, "one"), two(cloud, "two");
  std::mt19937 random(seed);
  int written = 0;
  const auto pick = [&](std::size_t n) { return random() % n; };
  // Contents that nobody here overwrote or deleted since: they must be somewhere in the end.
  std::set<std::string> alive;

  const auto act = [&](Machine& machine) {
    const auto tree = machine.tree();
    std::vector<std::string> files, folders = {""};
    for (const auto& [path, what] : tree) (what == "/" ? folders : files).push_back(path);
    const auto in = [&](const std::string& folder, const std::string& name) {
      return folder.empty() ? name : folder + "/" + name;
    };
    const std::string name(1, static_cast<char>('a' + pick(5)));
    const auto& folder = folders[pick(folders.size())];
    const auto target = in(folder, name);
    try {
      switch (pick(8)) {
        case 0:
        case 1:
        case 2: {
          const auto text = "text " + std::to_string(++written);
          if (tree.contains(target) && tree.at(target) == "/") return;
          if (tree.contains(target)) alive.erase(tree.at(target));
          machine.write(target, text);
          alive.insert(text);
          return;
        }
        case 3: machine.mkdir(target); return;
        case 4:
          if (files.empty()) return;
          {
            const auto& victim = files[pick(files.size())];
            alive.erase(tree.at(victim));
            machine.unlink(victim);
          }
          return;
        case 5:
          if (folders.size() > 1) machine.rmdir(folders[1 + pick(folders.size() - 1)]);
          return;
        default: {
          if (tree.empty()) return;
          auto from = tree.begin();
          std::advance(from, static_cast<std::ptrdiff_t>(pick(tree.size())));
          if (tree.contains(target) && tree.at(target) != "/" && from->first != target &&
              from->second != "/") {
            machine.rename(from->first, target);
            alive.erase(tree.at(target));
            return;
          }
          machine.rename(from->first, target);
          return;
        }
      }
    } catch (const Error& error) {
      // Not empty, into itself, taken: as any filesystem says.
      const auto code = error.code();
      REQUIRE((code == Errc::exists || code == Errc::not_empty || code == Errc::invalid ||
               code == Errc::is_directory || code == Errc::not_directory));
    }
  };

  for (int round = 0; round < 12; ++round) {
    const auto actions = 1 + pick(8);
    for (std::size_t i = 0; i < actions; ++i) act(pick(2) == 0 ? one : two);
    if (pick(3) == 0) one.sync();
    if (pick(3) == 0) two.sync();
    if (pick(6) == 0) {
      auto& victim = pick(2) == 0 ? one : two;
      victim.crash();
      victim.mount();
    }
  }
  one.sync();
  two.sync();
  one.sync();
  two.sync();
  const auto tree = one.tree();
  CHECK(tree == two.tree());
  std::set<std::string> contents;
  for (const auto& [path, text] : tree) contents.insert(text);
  for (const auto& text : alive) {
    CAPTURE(text);
    CHECK(contents.contains(text));
  }
}
