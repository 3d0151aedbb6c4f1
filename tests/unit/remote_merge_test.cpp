// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <string>

#include "base/error.hpp"
#include "crypto/hash.hpp"
#include "remote/conflict_name.hpp"
#include "remote/merge.hpp"

using namespace nacre;

namespace {

ObjectId content(const std::string& text) { return sha1(as_bytes(text)); }

// Trees in memory: a path ends in '/' for a directory, and has a content otherwise.
using Tree = std::map<std::string, std::string>;

class Trees {
 public:
  ObjectId store(const Directory& directory) {
    const auto json = write_directory(directory);
    const auto id = sha1(json);
    objects_[id] = json;
    return id;
  }
  [[nodiscard]] Directory load(const ObjectId& id) const {
    return read_directory(id, objects_.at(id));
  }

  ObjectId put(const Tree& tree) { return put(tree, ""); }

  [[nodiscard]] Tree get(const ObjectId& root) const {
    Tree tree;
    if (!root.is_empty()) get(root, "", tree);
    return tree;
  }

  MergeResult merge(const ObjectId& base, const ObjectId& ours, const ObjectId& theirs) {
    return merge_trees({[&](const ObjectId& id) { return load(id); },
                        [&](const Directory& directory) {
                          CHECK_FALSE(directory.entries.empty());
                          return store(directory);
                        }},
                       base, ours, theirs, "me");
  }

  struct Merged {
    Tree tree;
    bool conflict;
  };
  Merged merge(const Tree& base, const Tree& ours, const Tree& theirs) {
    const auto result = merge(put(base), put(ours), put(theirs));
    return {get(result.root), result.conflict};
  }

 private:
  ObjectId put(const Tree& tree, const std::string& prefix) {
    Directory directory;
    std::set<std::string> seen;
    for (const auto& [path, text] : tree) {
      if (path.compare(0, prefix.size(), prefix) != 0 || path == prefix) continue;
      const auto rest = path.substr(prefix.size());
      const auto slash = rest.find('/');
      const auto name = rest.substr(0, slash);
      if (!seen.insert(name).second) continue;
      if (slash != std::string::npos) {
        const auto id = put(tree, prefix + name + "/");
        directory.entries.push_back({name, id, mode_directory, 5, 0, ""});
      } else {
        texts_[content(text)] = text;
        directory.entries.push_back({name, content(text), mode_file, 5, text.size(), "who"});
      }
    }
    directory.sort();
    return directory.entries.empty() ? ObjectId{} : store(directory);
  }

  void get(const ObjectId& id, const std::string& prefix, Tree& tree) const {
    for (const auto& entry : load(id).entries) {
      if (!entry.is_directory()) {
        tree[prefix + entry.name] = texts_.at(entry.id);
        continue;
      }
      tree[prefix + entry.name + "/"] = "";
      if (!entry.id.is_empty()) get(entry.id, prefix + entry.name + "/", tree);
    }
  }

  std::map<ObjectId, Bytes> objects_;
  std::map<ObjectId, std::string> texts_;
};

Dirent entry(char kind, const std::string& text) {
  return {"n", content(text), kind == 'D' ? mode_directory : mode_file, 5, 1, ""};
}

std::multiset<std::string> texts(const Tree& tree) {
  std::multiset<std::string> all;
  for (const auto& [path, text] : tree) {
    if (path.back() != '/') all.insert(text);
  }
  return all;
}

}  // namespace

TEST_CASE("one name is decided by the table of the specification") {
  // Each side: '-' or a kind and a content.  ours is the table's remote, theirs its head.
  struct Row {
    const char *base, *theirs, *ours;
    MergeChoice choice;
  };
  using enum MergeChoice;
  const std::vector<Row> rows = {
      {"F1", "F2", "F2", MergeChoice::theirs},
      {"F1", "F1", "F2", MergeChoice::ours},
      {"F1", "F2", "F1", MergeChoice::theirs},
      {"F1", "F2", "F3", both},
      {"-", "F2", "F3", both},
      {"D1", "F2", "F3", both},
      {"F1", "-", "F1", MergeChoice::theirs},
      {"F1", "D2", "F1", MergeChoice::theirs},
      {"F1", "-", "F2", MergeChoice::ours},
      {"F1", "F1", "-", MergeChoice::ours},
      {"F1", "F1", "D2", MergeChoice::ours},
      {"F1", "F2", "-", MergeChoice::theirs},
      {"F1", "D2", "F3", both},
      {"F1", "F2", "D3", both},
      {"-", "-", "F1", MergeChoice::ours},
      {"-", "F1", "-", MergeChoice::theirs},
      {"D1", "D1", "F2", MergeChoice::ours},
      {"D1", "D2", "F3", both},
      {"-", "D1", "F2", both},
      {"D1", "F2", "D1", MergeChoice::theirs},
      {"D1", "F2", "D3", both},
      {"-", "F1", "D2", both},
      {"-", "D1", "-", MergeChoice::theirs},
      {"-", "-", "D1", MergeChoice::ours},
      {"D1", "D1", "-", MergeChoice::ours},
      {"D1", "-", "D1", MergeChoice::theirs},
      {"D1", "D2", "D2", MergeChoice::theirs},
      {"D1", "D1", "D2", MergeChoice::ours},
      {"D1", "D2", "D1", MergeChoice::theirs},
      {"D1", "D2", "D3", descend},
      {"D1", "-", "D2", descend},
      {"D1", "D2", "-", descend},
      {"-", "D1", "D2", descend},
      {"F1", "D1", "D2", descend},
      {"F1", "-", "D2", MergeChoice::ours},
      {"F1", "D2", "-", MergeChoice::theirs},
      {"D1", "-", "F2", MergeChoice::ours},
      {"D1", "D2", "F1", both},
  };
  for (const auto& row : rows) {
    const auto side = [](const char* text) {
      return text[0] == '-' ? std::optional<Dirent>() : entry(text[0], text + 1);
    };
    const auto base = side(row.base), ours_side = side(row.ours), theirs_side = side(row.theirs);
    const auto at = [](const auto& it) { return it ? &*it : nullptr; };
    CAPTURE(row.base, row.theirs, row.ours);
    CHECK(decide(at(base), at(ours_side), at(theirs_side)) == row.choice);
  }
}

TEST_CASE("between equal contents, the side that changed mode or time wins") {
  const auto base = entry('F', "x");
  auto touched = base;
  touched.mode = mode_executable;
  CHECK(decide(&base, &touched, &base) == MergeChoice::ours);
  CHECK(decide(&base, &base, &touched) == MergeChoice::theirs);
  CHECK(decide(&base, &touched, &touched) == MergeChoice::theirs);
}

TEST_CASE("an empty file and an empty directory are not the same") {
  const Dirent file{"n", {}, mode_file, 5, 0, ""}, folder{"n", {}, mode_directory, 5, 0, ""};
  CHECK(decide(&file, &file, &folder) == MergeChoice::theirs);
  CHECK(decide(&file, &folder, &file) == MergeChoice::ours);
  CHECK(decide(nullptr, &file, &folder) == MergeChoice::both);
}

TEST_CASE("independent changes of two sides come together without conflict") {
  Trees trees;
  const Tree base{{"a/x", "1"}, {"a/y", "2"}, {"b", "3"}};
  const auto merged = trees.merge(base, {{"a/x", "1b"}, {"a/y", "2"}, {"b", "3"}, {"new", "n"}},
                                  {{"a/x", "1"}, {"a/z/deep", "4"}, {"b", "3"}});
  CHECK_FALSE(merged.conflict);
  CHECK(merged.tree ==
        Tree{{"a/", ""}, {"a/x", "1b"}, {"a/z/", ""}, {"a/z/deep", "4"}, {"b", "3"}, {"new", "n"}});
}

TEST_CASE("both versions of a file survive, ours under a conflict name") {
  Trees trees;
  const auto merged = trees.merge({{"f.txt", "0"}}, {{"f.txt", "mine"}}, {{"f.txt", "other"}});
  CHECK(merged.conflict);
  REQUIRE(merged.tree.size() == 2);
  CHECK(merged.tree.at("f.txt") == "other");
  CHECK(merged.tree.begin()->first.rfind("f (SFConflict who ", 0) == 0);
  CHECK(merged.tree.begin()->second == "mine");
}

TEST_CASE("equal changes, and a conflict merged before, are no conflict") {
  Trees trees;
  CHECK_FALSE(trees.merge({{"f", "0"}}, {{"f", "same"}}, {{"f", "same"}}).conflict);
  const auto base = trees.put({{"f", "0"}}), ours = trees.put({{"f", "mine"}});
  const auto once = trees.merge(base, ours, trees.put({{"f", "other"}}));
  const auto again = trees.merge(base, ours, once.root);
  CHECK_FALSE(again.conflict);
  CHECK(again.root == once.root);
}

TEST_CASE("a conflict name that is taken by something else is not overwritten") {
  Trees trees;
  const auto taken = conflict_name("f", "who", 5);
  const auto merged =
      trees.merge({{"f", "0"}}, {{"f", "mine"}}, {{"f", "other"}, {taken, "older"}});
  CHECK(texts(merged.tree) == std::multiset<std::string>{"mine", "older", "other"});
  CHECK(merged.tree.at(taken) == "older");
}

TEST_CASE("deleting a directory keeps what the other side changed in it") {
  Trees trees;
  const Tree base{{"d/a", "1"}, {"d/b", "2"}};
  const Tree edited{{"d/a", "1"}, {"d/b", "2b"}, {"d/c", "3"}};
  const Tree expected{{"d/", ""}, {"d/b", "2b"}, {"d/c", "3"}};
  CHECK(trees.merge(base, {}, edited).tree == expected);
  CHECK(trees.merge(base, edited, {}).tree == expected);
}

TEST_CASE("trees nested deeper than any path are refused, others are merged") {
  Trees trees;
  const auto nest = [&](const std::string& text, int depth) {
    Directory directory;
    directory.entries = {{"f", content(text), mode_file, 5, 1, ""}};
    auto id = trees.store(directory);
    for (int i = 0; i < depth; ++i) {
      directory.entries = {{"d", id, mode_directory, 5, 0, ""}};
      id = trees.store(directory);
    }
    return id;
  };
  CHECK(trees.merge(nest("a", 2000), nest("b", 2000), nest("c", 2000)).conflict);
  CHECK_THROWS_AS(trees.merge(nest("a", 3000), nest("b", 3000), nest("c", 3000)), Error);
}

TEST_CASE("in random histories nothing that a side has made is lost") {
  std::mt19937 random(20261123);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  const std::vector<std::string> names = {"a", "b", "c/x", "c/y", "c/d/z", "e", "e/v", "e/w", "g/"};
  const auto put = [](Tree& tree, const std::string& path, const std::string& text) {
    // A path is a file or a directory, not both.
    for (auto it = tree.begin(); it != tree.end();) {
      const auto& other = it->first;
      const bool clash = other.rfind(path + "/", 0) == 0 || path.rfind(other + "/", 0) == 0;
      it = clash ? tree.erase(it) : std::next(it);
    }
    tree[path] = path.back() == '/' ? "" : text;
  };
  int serial = 0, conflicts = 0;
  for (int round = 0; round < 2000; ++round) {
    Trees trees;
    Tree base;
    for (int i = 0; i < 6; ++i) put(base, names[below(9)], "base" + std::to_string(below(4)));
    const auto change = [&](Tree tree, const std::string& side) {
      for (unsigned i = below(5); i > 0; --i) {
        const auto& name = names[below(9)];
        switch (below(3)) {
          case 0: tree.erase(name); break;
          case 1: put(tree, name, "same" + std::to_string(below(3))); break;
          default: put(tree, name, side + std::to_string(serial++));
        }
      }
      return tree;
    };
    const auto ours = change(base, "ours"), theirs = change(base, "theirs");
    const auto merged = trees.merge(base, ours, theirs);
    const auto back = trees.merge(base, theirs, ours);
    const auto result = texts(merged.tree);
    CAPTURE(base, ours, theirs, merged.tree, back.tree);
    REQUIRE(result == texts(back.tree));
    REQUIRE(merged.conflict == back.conflict);
    for (const auto* side : {&ours, &theirs}) {
      for (const auto& [path, text] : *side) {
        // What is not in base at that place was made by this side.
        const auto before = base.find(path);
        const bool made = path.back() != '/' && (before == base.end() || before->second != text);
        if (made) REQUIRE(result.count(text) > 0);
      }
    }
    if (ours == theirs || ours == base || theirs == base) REQUIRE_FALSE(merged.conflict);
    for (const auto& [path, text] : merged.tree) {
      // No conflict between equals: a conflict copy differs from whatever kept its name.
      const auto mark = path.find(" (SFConflict");
      if (mark == std::string::npos || path.find('/', mark) != std::string::npos) continue;
      const auto winner = merged.tree.find(path.substr(0, mark));
      if (winner != merged.tree.end()) REQUIRE(winner->second != text);
    }
    conflicts += merged.conflict ? 1 : 0;
  }
  CHECK(conflicts > 100);
}
