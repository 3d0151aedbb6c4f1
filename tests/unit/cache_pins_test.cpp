// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "cache/block_cache.hpp"
#include "cache/object_cache.hpp"
#include "temp_dir.hpp"
#include "unit/cache_kit.hpp"

namespace nacre::test {
namespace {

using Kind = BlockCache::Kind;

constexpr std::size_t mib = std::size_t{1} << 20U;
constexpr std::size_t block_size = 100'000;

std::vector<ObjectId> ids_of(std::uint64_t from, std::uint64_t to) {
  std::vector<ObjectId> ids;
  for (auto number = from; number < to; ++number) ids.push_back(numbered(number));
  std::ranges::sort(ids);
  return ids;
}

void put_all(BlockCache& cache, std::uint64_t from, std::uint64_t to) {
  for (auto number = from; number < to; ++number)
    cache.put(some_library, numbered(number), noise(block_size, number), Kind::plain);
}

std::size_t count_here(BlockCache& cache, std::uint64_t from, std::uint64_t to) {
  return static_cast<std::size_t>(std::ranges::count_if(ids_of(from, to), [&](const ObjectId& id) {
    return cache.size(some_library, id).has_value();
  }));
}

}  // namespace

TEST_CASE("pinned blocks stay whatever comes, also after a restart, until they are unpinned") {
  const TempDir dir;
  const auto pinned = ids_of(0, 20);
  {
    BlockCache cache(dir.path(), device_key(), 4 * mib);
    put_all(cache, 0, 10);
    cache.pin(some_library, pinned);  // half of them before they come
    put_all(cache, 10, 20);
    CHECK(cache.pinned() == 20 * BlockCache::cost(block_size));
    cache.pin(some_library, pinned);  // twice is once
    CHECK(cache.pinned() == 20 * BlockCache::cost(block_size));
    put_all(cache, 100, 200);
    CHECK(count_here(cache, 0, 20) == 20);
    CHECK(count_here(cache, 100, 200) < 30);
    CHECK(cache.used() <= 4 * mib);
  }
  BlockCache cache(dir.path(), device_key(), 4 * mib);
  CHECK(cache.pinned() == 20 * BlockCache::cost(block_size));
  put_all(cache, 200, 300);
  CHECK(count_here(cache, 0, 20) == 20);
  Bytes out(block_size);
  CHECK(cache.read(some_library, numbered(7), 0, out));
  CHECK(out == noise(block_size, 7));
  put_all(cache, 300, 301);  // what was read has kept its place

  cache.unpin_others(other_library, {});  // somebody else's
  CHECK(cache.pinned() == 20 * BlockCache::cost(block_size));
  const auto kept = ids_of(0, 5);
  cache.unpin_others(some_library, kept);
  CHECK(cache.pinned() == 5 * BlockCache::cost(block_size));
  put_all(cache, 400, 500);
  CHECK(count_here(cache, 0, 5) == 5);
  CHECK(count_here(cache, 5, 20) == 0);
}

TEST_CASE("a pinned block that was dropped is pinned again when it comes back") {
  const TempDir dir;
  BlockCache cache(dir.path(), device_key(), 4 * mib);
  cache.pin(some_library, ids_of(0, 1));
  put_all(cache, 0, 1);
  cache.drop(some_library, numbered(0));
  CHECK(cache.pinned() == 0);
  put_all(cache, 0, 1);
  CHECK(cache.pinned() == BlockCache::cost(block_size));
  put_all(cache, 100, 200);
  CHECK(count_here(cache, 0, 1) == 1);
}

TEST_CASE("evicting drops what is not pinned, and says how much that was") {
  const TempDir dir;
  BlockCache cache(dir.path(), device_key(), 8 * mib);
  put_all(cache, 0, 10);
  cache.pin(some_library, ids_of(0, 4));
  CHECK(cache.evict(some_library, ids_of(0, 8)) == 4 * BlockCache::cost(block_size));
  CHECK(count_here(cache, 0, 4) == 4);
  CHECK(count_here(cache, 4, 8) == 0);
  CHECK(count_here(cache, 8, 10) == 2);
  CHECK(cache.used() == 6 * BlockCache::cost(block_size));
}

TEST_CASE("a cache that is full of what is pinned takes no more, and loses nothing") {
  const TempDir dir;
  BlockCache cache(dir.path(), device_key(), 2 * mib);
  cache.pin(some_library, ids_of(0, 17));
  put_all(cache, 0, 17);
  put_all(cache, 100, 400);
  CHECK(count_here(cache, 0, 17) == 17);
}

TEST_CASE("pinned objects stay, and go again when they are unpinned") {
  const TempDir dir;
  ObjectCache cache(dir.path(), device_key(), mib);
  const auto put_objects = [&](std::uint64_t from, std::uint64_t to) {
    for (auto number = from; number < to; ++number)
      cache.put(some_library, numbered(number), noise(5000, number));
  };
  const auto here = [&](std::uint64_t from, std::uint64_t to) {
    return std::ranges::count_if(ids_of(from, to), [&](const ObjectId& id) {
      return cache.get(some_library, id).has_value();
    });
  };
  put_objects(0, 10);
  cache.pin(some_library, ids_of(0, 20));
  put_objects(10, 20);
  put_objects(100, 600);
  CHECK(here(0, 20) == 20);
  CHECK(here(100, 600) > 0);
  cache.unpin_others(some_library, ids_of(0, 3));
  put_objects(600, 1100);
  CHECK(here(0, 3) == 3);
  CHECK(here(3, 20) == 0);
}

}  // namespace nacre::test
