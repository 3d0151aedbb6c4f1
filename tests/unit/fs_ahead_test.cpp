// SPDX-License-Identifier: Apache-2.0
//
// What is fetched before a walker asks for it, how, and how much at most.
#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "content_fixture.hpp"
#include "eventually.hpp"
#include "fs/ahead.hpp"

namespace nacre::test {
namespace {

using namespace std::chrono_literals;

std::string numbered(const char* what, std::size_t n) {
  auto digits = std::to_string(n);
  digits.insert(0, 4 - digits.size(), '0');
  return what + digits;
}

struct Walked : ContentFixture {
  ObjectId put(Directory directory) {
    directory.sort();
    return remote.add_object(library, write_directory(directory));
  }

  // A folder of folders, each with one file that makes it another one.
  ObjectId folders(const std::string& salt, std::size_t count, std::vector<ObjectId>* ids = {}) {
    Directory all;
    for (std::size_t n = 0; n < count; ++n) {
      Directory one;
      one.entries.push_back(
          {"file", sha1(as_bytes(salt + std::to_string(n))), mode_file, 0, 1, "somebody"});
      const auto id = put(one);
      all.entries.push_back({numbered("d", n), id, mode_directory, 0, 0, {}});
      if (ids) ids->push_back(id);
    }
    return put(all);
  }

  bool all_here(const std::vector<ObjectId>& ids) {
    return std::ranges::all_of(ids, [&](const auto& id) { return depot->has_object(library, id); });
  }

  // A program lists it, as the mount does.
  void list(Ahead& ahead, std::vector<Ahead::Step> steps) {
    depot->directory(library, steps.back().directory);
    ahead.listed({library, false, std::move(steps)});
  }

  // A top of ten groups of a hundred folders.
  void make_groups() {
    Directory all;
    for (std::size_t n = 0; n < 10; ++n) {
      auto& ids = inner.emplace_back();
      groups.push_back(folders(std::to_string(n) + "/", 100, &ids));
      all.entries.push_back({numbered("g", n), groups.back(), mode_directory, 0, 0, {}});
    }
    top = put(all);
  }
  // The n-th folder of a group, as a walker comes to it.
  void walk_into(Ahead& ahead, std::size_t group, std::size_t n) {
    list(ahead,
         {{top, numbered("g", group)}, {groups[group], numbered("d", n)}, {inner[group][n], {}}});
  }

  ObjectId top;
  std::vector<ObjectId> groups;
  std::vector<std::vector<ObjectId>> inner;
};

// 4 KiB files and a large one in a folder.
struct Read : Walked {
  Read() {
    Directory all;
    for (std::size_t n = 0; n < 100; ++n) {
      const auto content = noise(4096, n + 1);
      files.push_back(add_file(content, {content.size()}, nullptr));
      blocks.push_back(sha1(content));
      all.entries.push_back(
          {numbered("f", n), files.back(), mode_file, 0, content.size(), "somebody"});
    }
    const auto content = noise(1U << 20U, 1000);
    large = add_file(content, {content.size()}, nullptr);
    large_block = sha1(content);
    all.entries.push_back({"large", large, mode_file, 0, content.size(), "somebody"});
    top = put(all);
    depot->directory(library, top);
  }
  ObjectId large_file(std::string_view salt) {
    auto content = noise(1U << 20U, 1001);
    std::ranges::copy(as_bytes(salt), content.begin());
    return add_file(content, {content.size()}, nullptr);
  }
  // A program reads it, as the mount does.
  void read(Ahead& ahead, std::size_t n) {
    ahead.reading({library, false, {{top, numbered("f", n)}}}, files[n]);
    depot->file(library, files[n]);
    depot->block(library, blocks[n], BlockCache::Kind::plain);
  }
  bool here(std::size_t n) {
    return depot->known_file(library, files[n]) && depot->held_block(library, blocks[n]);
  }

  std::vector<ObjectId> files, blocks;
  ObjectId large, large_block;
};

}  // namespace

TEST_CASE("the sub-directories of a listed directory come in one pack, and nothing below them",
          "[ahead]") {
  Walked w;
  w.make_groups();
  {
    Ahead ahead(*w.depot, {});
    w.list(ahead, {{w.top, {}}});
    REQUIRE(eventually([&] { return w.all_here(w.groups); }));
  }
  CHECK(w.remote.count.objects == 2);  // the top itself, and all groups
  CHECK(w.remote.count.object_ids == 11);
}

TEST_CASE("going down into one directory after the other is no walk", "[ahead]") {
  Walked w;
  w.make_groups();
  {
    Ahead ahead(*w.depot, {.nearby = 0});
    w.list(ahead, {{w.top, {}}});
    REQUIRE(eventually([&] { return w.all_here(w.groups); }));
    w.list(ahead, {{w.top, numbered("g", 0)}, {w.groups[0], {}}});
    REQUIRE(eventually([&] { return w.all_here(w.inner[0]); }));
    w.walk_into(ahead, 0, 0);
  }
  CHECK(w.remote.count.object_ids == 111);
}

TEST_CASE("a walker finds what it comes to, fetched in packs, and no more than the bound ahead",
          "[ahead]") {
  Walked w;
  w.make_groups();
  Ahead::Options options;
  options.directories = 120;
  options.nearby = 0;
  {
    Ahead ahead(*w.depot, options);
    w.list(ahead, {{w.top, {}}});
    int visited = 1;
    for (std::size_t group = 0; group < 10; ++group) {
      REQUIRE(eventually([&] { return w.depot->has_object(w.library, w.groups[group]); }));
      w.list(ahead, {{w.top, numbered("g", group)}, {w.groups[group], {}}});
      ++visited;
      for (std::size_t n = 0; n < 100; ++n) {
        REQUIRE(eventually([&] { return w.depot->has_object(w.library, w.inner[group][n]); }));
        w.walk_into(ahead, group, n);
        ++visited;
        // Packs of the groups at first; then the window, from wherever the walker was.
        CHECK(w.remote.count.object_ids <= visited + 10 + 120);
      }
    }
  }
  CHECK(w.remote.count.object_ids == 1011);
  CHECK(w.remote.count.objects < 100);
}

TEST_CASE("who reads a second file of a directory finds its small siblings here", "[ahead]") {
  Read r;
  const std::size_t nearby = GENERATE(0U, 100U);
  Ahead ahead(*r.depot, {.nearby = nearby});
  r.read(ahead, 0);
  r.read(ahead, 1);
  REQUIRE(eventually([&] { return r.here(17); }));  // of the first window
  CHECK(r.remote.count.objects <= 5);  // the folder, the two that were read, the others in a pack
  for (std::size_t n = 2; n < 18; ++n) r.read(ahead, n);
  REQUIRE(eventually([&] { return r.here(99); }));
  CHECK(r.remote.count.objects <= 20);
  CHECK(r.remote.count.block <= 100);
  CHECK_FALSE(r.depot->held_block(r.library, r.large_block));
  if (nearby == 0) CHECK_FALSE(r.depot->has_object(r.library, r.large));
}

TEST_CASE("the files of a listed directory wait for their first block only", "[ahead]") {
  Read r;
  {
    Ahead ahead(*r.depot, {});
    r.list(ahead, {{r.top, {}}});
    REQUIRE(eventually([&] { return r.depot->known_file(r.library, r.files[99]) != nullptr; }));
  }
  CHECK(r.remote.count.objects == 2);  // the directory itself, and its files'
  CHECK(r.remote.count.object_ids == 101);
  CHECK(r.remote.count.block == 0);
}

TEST_CASE("so do those beside a large file that is read where nobody has listed", "[ahead]") {
  Read r;
  Directory folder;
  for (const auto* name : {"a", "b", "c"})
    folder.entries.push_back({name, r.large_file(name), mode_file, 0, 1U << 20U, "somebody"});
  const auto top = r.put(folder);
  r.depot->directory(r.library, top);
  {
    Ahead ahead(*r.depot, {});
    const auto& first = folder.entries.front();
    ahead.reading({r.library, false, {{top, first.name}}}, first.id);
    REQUIRE(eventually([&] {
      return std::ranges::all_of(folder.entries, [&](const Dirent& entry) {
        return entry.name == "a" || r.depot->known_file(r.library, entry.id);
      });
    }));
  }
  CHECK(r.remote.count.block == 0);
}

TEST_CASE("who reads one directory after the other finds the files of the next ones here",
          "[ahead]") {
  Read r;
  Directory all;
  std::vector<Directory> folders;
  std::vector<ObjectId> ids, blocks;
  for (std::size_t d = 0; d < 3; ++d) {
    auto& folder = folders.emplace_back();
    for (std::size_t n = 0; n < 5; ++n) {
      const auto content = noise(4096, 2000 + 5 * d + n);
      blocks.push_back(sha1(content));
      folder.entries.push_back({numbered("f", n), r.add_file(content, {content.size()}, nullptr),
                                mode_file, 0, content.size(), "somebody"});
    }
    ids.push_back(r.put(folder));
    all.entries.push_back({numbered("d", d), ids.back(), mode_directory, 0, 0, {}});
  }
  const auto top = r.put(all);
  const auto here = [&](std::size_t d, std::size_t n) {
    return eventually([&] { return r.depot->held_block(r.library, blocks[5 * d + n]) != nullptr; });
  };
  Ahead ahead(*r.depot, {});
  r.list(ahead, {{top, {}}});
  REQUIRE(eventually([&] { return r.all_here(ids); }));
  r.list(ahead, {{top, numbered("d", 0)}, {ids[0], {}}});
  for (std::size_t n = 0; n < 2; ++n)
    ahead.reading({r.library, false, {{top, numbered("d", 0)}, {ids[0], numbered("f", n)}}},
                  folders[0].entries[n].id);
  REQUIRE(here(0, 4));
  r.list(ahead, {{top, numbered("d", 1)}, {ids[1], {}}});
  CHECK(here(1, 0));
  CHECK(here(2, 4));
}

TEST_CASE("files that are read in no order bring no others", "[ahead]") {
  Read r;
  const std::size_t nearby = GENERATE(0U, 100U);
  {
    Ahead ahead(*r.depot, {.nearby = nearby});
    for (const std::size_t n : {90U, 70U, 50U, 30U, 10U}) r.read(ahead, n);
  }
  CHECK(r.remote.count.block == 5);
  if (nearby == 0)
    CHECK(r.remote.count.object_ids == 6);
  else
    CHECK(r.remote.count.object_ids <= 6 + 10);  // beside the first that was read, once
}

TEST_CASE("a directory that cannot be fetched ahead hides nothing and stops nothing", "[ahead]") {
  Walked w;
  w.make_groups();
  bool refuse = true;
  w.depot->directory(w.library, w.top);
  w.remote.before = [&](const char*) {
    if (refuse) throw Error(Errc::busy, "not now");
  };
  {
    Ahead ahead(*w.depot, {});
    w.list(ahead, {{w.top, {}}});
    REQUIRE(eventually([&] { return w.remote.count.objects >= 2; }));
  }
  refuse = false;
  CHECK(w.depot->directory(w.library, w.groups[3])->entries.size() == 100);
}

TEST_CASE("parsed directories are kept up to so many bytes, those used last", "[ahead]") {
  Walked w;
  w.options.parsed_memory = 1U << 20U;
  w.restart();
  std::vector<ObjectId> ids;
  std::vector<std::weak_ptr<const Directory>> held;
  for (int n = 0; n < 20; ++n) {
    Directory wide;
    for (std::size_t m = 0; m < 1000; ++m)
      wide.entries.push_back({numbered("a name that is longer than most ", m) + std::to_string(n),
                              sha1(as_bytes(numbered("", m))), mode_file, 0, 1, "somebody@here"});
    ids.push_back(w.put(wide));
    held.push_back(w.depot->directory(w.library, ids.back()));
  }
  const auto kept = std::ranges::count_if(held, [](const auto& one) { return !one.expired(); });
  CHECK(kept >= 3);
  CHECK(kept <= 7);
  CHECK_FALSE(held.back().expired());
  CHECK(w.depot->known_directory(w.library, ids.front()) != nullptr);  // from the cache
}

TEST_CASE("objects are cached as small as they came", "[ahead]") {
  Walked w;
  const auto id = w.folders("x", 1000);
  w.depot->directory(w.library, id);
  const auto text = w.remote.objects(w.library, {&id, 1}).front().json;
  const auto kept = w.objects.get(w.library, id);
  REQUIRE(kept);
  CHECK(kept->size() < text.size() / 2);
  w.restart();
  CHECK(w.depot->known_directory(w.library, id)->entries.size() == 1000);
}

}  // namespace nacre::test
