// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "cache/block_cache.hpp"
#include "cache/db.hpp"
#include "temp_dir.hpp"
#include "unit/cache_kit.hpp"

namespace nacre::test {
namespace {

using Kind = BlockCache::Kind;

constexpr std::size_t mib = std::size_t{1} << 20U;
constexpr std::size_t extent = 32704;  // what one holds: eight pages of LMDB, less the overheads

bool holds(BlockCache& cache, const LibraryId& library, const ObjectId& id, ByteView expected) {
  if (cache.size(library, id) != expected.size()) return false;
  Bytes out(expected.size());
  return cache.read(library, id, 0, out) && std::ranges::equal(out, expected);
}

bool reads(BlockCache& cache, const ObjectId& id, ByteView expected, std::size_t from,
           std::size_t size) {
  Bytes out(size);
  return cache.read(some_library, id, from, out) &&
         std::ranges::equal(out, expected.subspan(from, size));
}

}  // namespace

TEST_CASE("any range of a block reads as what was put") {
  const TempDir dir;
  BlockCache cache(dir.path(), device_key(), 64 * mib);
  std::mt19937 random(5);
  std::uint64_t number = 0;
  for (const auto kind : {Kind::plain, Kind::ciphertext}) {
    for (const std::size_t size :
         {std::size_t{1}, std::size_t{16}, std::size_t{4096}, extent - 1, extent, extent + 1,
          2 * extent - 1, 2 * extent, 2 * extent + 1, 5 * extent + 777}) {
      CAPTURE(size, static_cast<int>(kind));
      const auto id = numbered(++number);
      const auto block = noise(size, number);
      CHECK_FALSE(cache.size(some_library, id));
      cache.put(some_library, id, block, kind);
      CHECK(holds(cache, some_library, id, block));
      for (int i = 0; i < 50; ++i) {
        const auto from = random() % size;
        CHECK(reads(cache, id, block, from, random() % (size - from + 1)));
      }
      for (auto border = extent; border < size; border += extent)
        CHECK(reads(cache, id, block, border - 1, 2));
      CHECK(reads(cache, id, block, size, 0));
      Bytes past(2);
      CHECK_FALSE(cache.read(some_library, id, size - 1, past));
      CHECK_FALSE(cache.read(some_library, id, size + 1, {}));
      CHECK_FALSE(cache.read(some_library, id, ~std::uint64_t{0}, past));
      CHECK(holds(cache, some_library, id, block));  // asking too much is no damage
    }
  }
}

TEST_CASE("a block is of its library, is forgotten when dropped, and is put once") {
  const TempDir dir;
  BlockCache cache(dir.path(), device_key(), 64 * mib);
  const auto block = noise(100000, 1), other = noise(5000, 2);
  const auto id = numbered(1);
  cache.put(some_library, id, block, Kind::plain);
  CHECK_FALSE(cache.size(other_library, id));
  const auto used = cache.used();
  cache.put(some_library, id, block, Kind::plain);
  CHECK(cache.used() == used);
  cache.put(other_library, id, other, Kind::ciphertext);
  CHECK(holds(cache, some_library, id, block));
  CHECK(holds(cache, other_library, id, other));
  cache.drop(some_library, id);
  cache.drop(some_library, numbered(2));
  CHECK_FALSE(cache.size(some_library, id));
  CHECK(holds(cache, other_library, id, other));
  cache.drop(other_library, id);
  CHECK(cache.used() == 0);
}

TEST_CASE("what is no block, or too big to be worth it, is not kept") {
  const TempDir dir;
  BlockCache cache(dir.path(), device_key(), 2 * mib);
  cache.put(some_library, numbered(1), {}, Kind::plain);
  cache.put(some_library, numbered(2), noise(mib + 1, 2), Kind::plain);
  CHECK_FALSE(cache.size(some_library, numbered(1)));
  CHECK_FALSE(cache.size(some_library, numbered(2)));
  CHECK(cache.used() == 0);
}

TEST_CASE("blocks and their turn survive a restart") {
  const TempDir dir;
  const auto block = noise(300000, 1), second = noise(300000, 2);
  std::uint64_t used = 0;
  {
    BlockCache cache(dir.path(), device_key(), mib);
    cache.put(some_library, numbered(1), block, Kind::plain);
    cache.put(some_library, numbered(2), second, Kind::ciphertext);
    used = cache.used();
    CHECK(used >= block.size() + second.size());
  }
  BlockCache cache(dir.path(), device_key(), mib);
  CHECK(cache.used() == used);
  CHECK(reads(cache, numbered(1), block, 0, block.size()));
  // Number 1 is older, but was used since: number 2 is the first to go.
  cache.put(some_library, numbered(3), noise(500000, 3), Kind::plain);
  CHECK_FALSE(cache.size(some_library, numbered(2)));
  CHECK(holds(cache, some_library, numbered(1), block));
}

TEST_CASE("a block put first goes first, also after a restart") {
  const TempDir dir;
  {
    BlockCache cache(dir.path(), device_key(), mib);
    cache.put(some_library, numbered(1), noise(300000, 1), Kind::plain);
    cache.put(some_library, numbered(2), noise(300000, 2), Kind::ciphertext);
  }
  BlockCache cache(dir.path(), device_key(), mib);
  cache.put(some_library, numbered(3), noise(500000, 3), Kind::plain);
  CHECK_FALSE(cache.size(some_library, numbered(1)));
  CHECK(holds(cache, some_library, numbered(2), noise(300000, 2)));
}

TEST_CASE("another device key does not open sealed blocks") {
  const TempDir dir;
  const auto block = noise(100000, 1);
  {
    BlockCache cache(dir.path(), device_key(), 64 * mib);
    cache.put(some_library, numbered(1), block, Kind::plain);
  }
  BlockCache cache(dir.path(), SealKey(Secret::random(SealKey::size)), 64 * mib);
  CHECK_FALSE(holds(cache, some_library, numbered(1), block));
  cache.put(some_library, numbered(1), block, Kind::plain);
  CHECK(holds(cache, some_library, numbered(1), block));
}

TEST_CASE("twenty times the limit streams through, within the limit on disk too") {
  constexpr std::uint64_t limit = 8 * mib;
  const TempDir dir;
  BlockCache cache(dir.path(), device_key(), limit);
  std::mt19937 random(11);
  std::uint64_t number = 0;
  for (std::uint64_t streamed = 0; streamed < 20 * limit;) {
    const auto block = noise(1 + random() % (limit / 4), ++number);
    streamed += block.size();
    cache.put(some_library, numbered(number), block,
              number % 2 == 0 ? Kind::plain : Kind::ciphertext);
    CHECK(cache.used() <= limit);
    CHECK(holds(cache, some_library, numbered(number), block));
  }
  CHECK(cache.used() > limit / 2);  // the limit is made use of
  CHECK_FALSE(cache.size(some_library, numbered(1)));
  CHECK(std::filesystem::file_size(dir.path() / "data.mdb") <= limit * 5 / 4 + 64 * mib);
}

TEST_CASE("the block that was used least recently goes first") {
  constexpr std::size_t size = 100000;
  const TempDir dir;
  BlockCache cache(dir.path(), device_key(), mib);
  std::uint64_t put = 0;
  const auto add = [&] {
    ++put;
    cache.put(some_library, numbered(put), noise(size, put), Kind::plain);
  };
  while (cache.used() + 2 * size < mib) add();
  const auto full = put;
  REQUIRE(full > 4);
  CHECK(reads(cache, numbered(1), noise(size, 1), 10, 10));
  CHECK(reads(cache, numbered(3), noise(size, 3), 10, 10));
  while (cache.size(some_library, numbered(2))) {
    REQUIRE(put < 2 * full);
    add();
  }
  CHECK(cache.size(some_library, numbered(1)));
  CHECK(cache.size(some_library, numbered(3)));
  CHECK(cache.size(some_library, numbered(4)));
  add();
  CHECK_FALSE(cache.size(some_library, numbered(4)));
  CHECK(cache.size(some_library, numbered(1)));
}

TEST_CASE("a smaller limit than last time is kept from the next block on") {
  const TempDir dir;
  {
    BlockCache cache(dir.path(), device_key(), 16 * mib);
    for (std::uint64_t i = 1; i <= 10; ++i)
      cache.put(some_library, numbered(i), noise(mib, i), Kind::plain);
  }
  BlockCache cache(dir.path(), device_key(), 4 * mib);
  const auto block = noise(mib, 11);
  cache.put(some_library, numbered(11), block, Kind::plain);
  CHECK(cache.used() <= 4 * mib);
  CHECK(holds(cache, some_library, numbered(11), block));
}

TEST_CASE("a limit that was lowered far is kept on disk too, and the cache goes on") {
  const TempDir dir;
  const auto block = noise(8 * mib, 1);
  {
    BlockCache cache(dir.path(), device_key(), 160 * mib);
    for (std::uint64_t i = 1; i <= 18; ++i)
      cache.put(some_library, numbered(i), block, Kind::ciphertext);
    REQUIRE(cache.size(some_library, numbered(18)));
  }
  BlockCache cache(dir.path(), device_key(), 4 * mib);
  const auto small = noise(mib, 2);
  cache.put(some_library, numbered(19), small, Kind::plain);
  CHECK(holds(cache, some_library, numbered(19), small));
  CHECK(cache.used() <= 4 * mib);
  CHECK(std::filesystem::file_size(dir.path() / "data.mdb") <= (5 + 64) * mib);
}

TEST_CASE("a block that was damaged on the disk is not here, and can be put again") {
  for (const auto kind : {Kind::plain, Kind::ciphertext}) {
    CAPTURE(static_cast<int>(kind));
    const TempDir dir;
    const auto block = noise(5 * extent + 20000, 1);
    {
      BlockCache cache(dir.path(), device_key(), 64 * mib);
      cache.put(some_library, numbered(1), block, kind);
    }
    damage_pages(dir.path());
    BlockCache cache(dir.path(), device_key(), 64 * mib);
    REQUIRE(cache.size(some_library, numbered(1)) == block.size());  // the damage is not here
    Bytes out(100);
    CHECK_FALSE(cache.read(some_library, numbered(1), 2 * extent + 5, out));
    CHECK_FALSE(cache.size(some_library, numbered(1)));
    CHECK(cache.used() == 0);
    cache.put(some_library, numbered(1), block, kind);
    CHECK(holds(cache, some_library, numbered(1), block));
  }
}

TEST_CASE("extents that somebody swapped, or took away, do not read") {
  for (const auto kind : {Kind::plain, Kind::ciphertext}) {
    for (const bool swapped : {true, false}) {
      CAPTURE(static_cast<int>(kind), swapped);
      const TempDir dir;
      const auto block = noise(3 * extent, 1);
      {
        BlockCache cache(dir.path(), device_key(), 64 * mib);
        cache.put(some_library, numbered(1), block, kind);
      }
      {
        Db db(dir.path(), std::size_t{256} << 20U);
        const auto extents = db.table("extents");
        auto txn = db.write();
        std::vector<std::pair<Bytes, Bytes>> all;
        txn.scan(extents, {}, [&](ByteView key, ByteView value) {
          all.emplace_back(Bytes(key.begin(), key.end()), Bytes(value.begin(), value.end()));
          return true;
        });
        REQUIRE(all.size() == 3);
        if (swapped) {
          txn.put(extents, all[0].first, all[1].second);
          txn.put(extents, all[1].first, all[0].second);
        } else {
          txn.erase(extents, all[1].first);
        }
        std::move(txn).commit();
      }
      BlockCache cache(dir.path(), device_key(), 64 * mib);
      Bytes out(block.size());
      CHECK_FALSE(cache.read(some_library, numbered(1), 0, out));
      cache.put(some_library, numbered(1), block, kind);
      CHECK(holds(cache, some_library, numbered(1), block));
    }
  }
}

TEST_CASE("a cache whose file is no database is begun anew") {
  const TempDir dir;
  const auto block = noise(100000, 1);
  {
    BlockCache cache(dir.path() / "cache", device_key(), 64 * mib);
    cache.put(some_library, numbered(1), block, Kind::plain);
  }
  std::ofstream(dir.path() / "cache/data.mdb", std::ios::binary) << std::string(100000, 'x');
  BlockCache cache(dir.path() / "cache", device_key(), 64 * mib);
  CHECK(cache.used() == 0);
  CHECK_FALSE(cache.size(some_library, numbered(1)));
  cache.put(some_library, numbered(1), block, Kind::plain);
  CHECK(holds(cache, some_library, numbered(1), block));
}

TEST_CASE("a cache whose file was cut short is begun anew") {
  const TempDir dir;
  const auto file = dir.path() / "data.mdb";
  {
    BlockCache cache(dir.path(), device_key(), 64 * mib);
    for (std::uint64_t i = 1; i <= 8; ++i)
      cache.put(some_library, numbered(i), noise(mib, i), Kind::plain);
  }
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  BlockCache cache(dir.path(), device_key(), 64 * mib);
  CHECK(cache.used() == 0);
  const auto block = noise(mib, 8);
  cache.put(some_library, numbered(8), block, Kind::plain);
  CHECK(holds(cache, some_library, numbered(8), block));
}

TEST_CASE("a plain library's block is not on the disk in clear") {
  const TempDir dir;
  const std::string marker = "a content that must not show ", visible = "ciphertext as it came ";
  std::string text, shown;
  while (text.size() < 100000) text += marker;
  while (shown.size() < 100000) shown += visible;
  {
    BlockCache cache(dir.path(), device_key(), 64 * mib);
    cache.put(some_library, numbered(1), as_bytes(text), Kind::plain);
    cache.put(some_library, numbered(2), as_bytes(marker), Kind::plain);
    cache.put(some_library, numbered(3), as_bytes(shown), Kind::ciphertext);
    CHECK(holds(cache, some_library, numbered(1), as_bytes(text)));
  }
  CHECK(on_disk(dir.path(), visible));  // the search does find
  CHECK_FALSE(on_disk(dir.path(), marker));
}

TEST_CASE("readers and writers at once see whole blocks or none") {
  constexpr std::uint64_t blocks = 24;
  const TempDir dir;
  BlockCache cache(dir.path(), device_key(), 2 * mib);
  std::vector<Bytes> content;
  for (std::uint64_t i = 0; i < blocks; ++i) content.push_back(noise(150000 + i, i));
  std::atomic<int> wrong = 0, found = 0;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 200; ++i) {
        const auto n = (i * 7 + t * 5) % blocks;
        Bytes out(1000);
        const auto from = (i * 997) % 140000;
        if (cache.read(some_library, numbered(n), from, out)) {
          ++found;
          if (!std::ranges::equal(out, ByteView(content[n]).subspan(from, out.size()))) ++wrong;
        } else {
          cache.put(some_library, numbered(n), content[n],
                    n % 2 == 0 ? Kind::plain : Kind::ciphertext);
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(found > 0);
  CHECK(cache.used() <= 2 * mib);
}

}  // namespace nacre::test
