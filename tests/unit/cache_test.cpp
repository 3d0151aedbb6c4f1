// SPDX-License-Identifier: Apache-2.0
//
// Db and ObjectCache; State and BlockCache have files of their own.
#include <algorithm>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "cache/db.hpp"
#include "cache/object_cache.hpp"
#include "temp_dir.hpp"
#include "unit/cache_kit.hpp"

namespace nacre::test {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20U;

std::optional<std::string> text(const std::optional<Bytes>& bytes) {
  if (!bytes) return std::nullopt;
  return std::string(as_text(*bytes));
}

}  // namespace

TEST_CASE("a transaction that is not committed has not happened") {
  const TempDir dir;
  Db db(dir.path(), mib);
  const auto table = db.table("t");
  {
    auto txn = db.write();
    txn.put(table, as_bytes("a"), as_bytes("1"));
    std::move(txn).commit();
  }
  const auto before = db.read();
  {
    auto txn = db.write();
    txn.put(table, as_bytes("a"), as_bytes("2"));
    CHECK(txn.erase(table, as_bytes("a")));
    CHECK_FALSE(txn.erase(table, as_bytes("a")));
  }
  CHECK(as_text(*db.read().get(table, as_bytes("a"))) == "1");
  {
    auto txn = db.write();
    txn.put(table, as_bytes("a"), as_bytes("3"));
    std::move(txn).commit();
  }
  CHECK(as_text(*before.get(table, as_bytes("a"))) == "1");  // a reader sees its moment
  CHECK(as_text(*db.read().get(table, as_bytes("a"))) == "3");
}

TEST_CASE("a full database says so, keeps what it had, and takes more when there is room") {
  const TempDir dir;
  Db db(dir.path(), mib);
  const auto table = db.table("t");
  const Bytes value(20000, 7);
  std::uint64_t count = 0;
  try {
    for (; count < 1000; ++count) {
      auto txn = db.write();
      txn.put(table, as_bytes(std::to_string(count)), value);
      std::move(txn).commit();
    }
    FAIL("it was never full");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::full);
  }
  for (std::uint64_t i = 0; i < count; ++i)
    CHECK(db.read().get(table, as_bytes(std::to_string(i))));
  for (int i = 0; i < 10; ++i) {
    auto txn = db.write();
    txn.erase(table, as_bytes(std::to_string(i)));
    std::move(txn).commit();
  }
  auto txn = db.write();
  txn.put(table, as_bytes("more"), value);
  std::move(txn).commit();
}

TEST_CASE("a file that is no database is corrupt, and a disposable one is begun anew") {
  const TempDir dir;
  std::ofstream(dir.path() / "data.mdb", std::ios::binary) << std::string(100000, 'x');
  try {
    const Db db(dir.path(), mib);
    FAIL("it opened");
  } catch (const Error& error) {
    CHECK(error.code() == Errc::corrupt);
  }
  auto db = open_disposable(dir.path(), mib);
  const auto table = db.table("t");
  CHECK_FALSE(db.read().get(table, as_bytes("a")));
}

TEST_CASE("objects read as they were put, each of its library, also after a restart") {
  const TempDir dir;
  {
    ObjectCache cache(dir.path(), device_key(), mib);
    CHECK_FALSE(cache.get(some_library, numbered(1)));
    cache.put(some_library, numbered(1), as_bytes("{\"one\": 1}"));
    cache.put(other_library, numbered(1), as_bytes("{\"other\": 1}"));
    cache.put(some_library, numbered(2), {});
    cache.put(some_library, numbered(3), noise(300000, 3));
  }
  ObjectCache cache(dir.path(), device_key(), mib);
  CHECK(text(cache.get(some_library, numbered(1))) == "{\"one\": 1}");
  CHECK(text(cache.get(other_library, numbered(1))) == "{\"other\": 1}");
  CHECK(text(cache.get(some_library, numbered(2))) == "");
  CHECK((cache.get(some_library, numbered(3)) == noise(300000, 3)));
  CHECK_FALSE(cache.get(other_library, numbered(2)));
  cache.put(some_library, numbered(1), as_bytes("again"));
  CHECK(text(cache.get(some_library, numbered(1))) == "again");
}

TEST_CASE("objects stream through without end: the oldest go, the newest stay") {
  constexpr std::uint64_t limit = 2 * mib;
  // In pages of their own; two to a page; and more.
  for (const std::size_t size : {std::size_t{100000}, std::size_t{1934}, std::size_t{300}}) {
    CAPTURE(size);
    const TempDir dir;
    ObjectCache cache(dir.path(), device_key(), limit);
    auto object = noise(size, 1);
    const auto rounds = std::min<std::size_t>(20 * limit / size + 2 * 66 * mib / size, 100000);
    std::uint64_t kept = 0;
    for (std::uint64_t i = 1; i <= rounds; ++i) {
      std::memcpy(object.data(), &i, sizeof i);
      cache.put(some_library, numbered(i), object);
      if (cache.get(some_library, numbered(i)) == object) ++kept;
    }
    CHECK(kept == rounds);
    CHECK_FALSE(cache.get(some_library, numbered(1)));
    CHECK(std::filesystem::file_size(dir.path() / "data.mdb") <= limit * 5 / 4 + 64 * mib);
  }
}

TEST_CASE("objects that come together are kept together, but for one that is too big") {
  const TempDir dir;
  ObjectCache cache(dir.path(), device_key(), mib);
  const auto big = noise(mib, 2);
  const std::array<ObjectCache::Object, 3> some = {
      {{numbered(1), as_bytes("one")}, {numbered(2), big}, {numbered(3), as_bytes("three")}}};
  cache.put(some_library, some);
  CHECK(text(cache.get(some_library, numbered(1))) == "one");
  CHECK(text(cache.get(some_library, numbered(3))) == "three");
  CHECK(cache.contains(some_library, numbered(3)));
  CHECK_FALSE(cache.contains(some_library, numbered(2)));
  CHECK_FALSE(cache.contains(other_library, numbered(3)));
}

TEST_CASE("an object too big for the limit is not kept, and pushes nothing out") {
  const TempDir dir;
  ObjectCache cache(dir.path(), device_key(), mib);
  cache.put(some_library, numbered(1), as_bytes("one"));
  cache.put(some_library, numbered(2), noise(mib, 2));
  CHECK_FALSE(cache.get(some_library, numbered(2)));
  CHECK(text(cache.get(some_library, numbered(1))) == "one");
}

TEST_CASE("an object cache whose limit was lowered far goes on, in a smaller file") {
  const TempDir dir;
  auto object = noise(mib, 1);
  {
    ObjectCache cache(dir.path(), device_key(), 160 * mib);
    for (std::uint64_t i = 1; i <= 140; ++i) cache.put(some_library, numbered(i), object);
    REQUIRE(cache.get(some_library, numbered(140)));
  }
  ObjectCache cache(dir.path(), device_key(), 4 * mib);
  cache.put(some_library, numbered(141), object);
  CHECK((cache.get(some_library, numbered(141)) == object));
  CHECK(std::filesystem::file_size(dir.path() / "data.mdb") <= (5 + 64) * mib);
}

TEST_CASE("an object that was damaged on the disk is not here, and can be put again") {
  const TempDir dir;
  const auto object = noise(50000, 1);
  {
    ObjectCache cache(dir.path(), device_key(), mib);
    cache.put(some_library, numbered(1), object);
    CHECK((cache.get(some_library, numbered(1)) == object));
  }
  damage_pages(dir.path());
  ObjectCache cache(dir.path(), device_key(), mib);
  CHECK_FALSE(cache.get(some_library, numbered(1)));
  cache.put(some_library, numbered(1), object);
  CHECK((cache.get(some_library, numbered(1)) == object));
}

TEST_CASE("objects that somebody swapped do not open") {
  const TempDir dir;
  {
    ObjectCache cache(dir.path(), device_key(), mib);
    cache.put(some_library, numbered(1), as_bytes("one"));
    cache.put(other_library, numbered(1), as_bytes("two"));
  }
  {
    Db db(dir.path(), std::size_t{256} << 20U);
    const auto objects = db.table("objects");
    auto txn = db.write();
    std::vector<std::pair<Bytes, Bytes>> all;
    txn.scan(objects, {}, [&](ByteView key, ByteView value) {
      all.emplace_back(Bytes(key.begin(), key.end()), Bytes(value.begin(), value.end()));
      return true;
    });
    REQUIRE(all.size() == 2);
    txn.put(objects, all[0].first, all[1].second);
    txn.put(objects, all[1].first, all[0].second);
    std::move(txn).commit();
  }
  ObjectCache cache(dir.path(), device_key(), mib);
  CHECK_FALSE(cache.get(some_library, numbered(1)));
  CHECK_FALSE(cache.get(other_library, numbered(1)));
}

TEST_CASE("an object cache of another device key, or of no database, is as good as empty") {
  const TempDir dir;
  {
    ObjectCache cache(dir.path(), device_key(), mib);
    cache.put(some_library, numbered(1), as_bytes("one"));
  }
  {
    ObjectCache cache(dir.path(), SealKey(Secret::random(SealKey::size)), mib);
    CHECK_FALSE(cache.get(some_library, numbered(1)));
  }
  std::ofstream(dir.path() / "data.mdb", std::ios::binary) << std::string(100000, 'x');
  ObjectCache cache(dir.path(), device_key(), mib);
  CHECK_FALSE(cache.get(some_library, numbered(1)));
  cache.put(some_library, numbered(1), as_bytes("one"));
  CHECK(text(cache.get(some_library, numbered(1))) == "one");
}

TEST_CASE("names in objects are not on the disk in clear") {
  const TempDir dir;
  const std::string marker = "a name that must not show";
  {
    ObjectCache cache(dir.path(), device_key(), mib);
    cache.put(some_library, numbered(1), as_bytes(marker));
    std::string long_text;
    while (long_text.size() < 50000) long_text += marker;
    cache.put(some_library, numbered(2), as_bytes(long_text));
  }
  CHECK(on_disk(dir.path(), some_library.text()));  // keys are in clear: the search does find
  CHECK_FALSE(on_disk(dir.path(), marker));
}

TEST_CASE("any thread may put and get objects") {
  const TempDir dir;
  ObjectCache cache(dir.path(), device_key(), mib);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < 100; ++i) {
        const auto id = numbered(t * 1000 + i);
        const auto object = noise(100 + i, i);
        cache.put(some_library, id, object);
        if (cache.get(some_library, id) != object) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
}

}  // namespace nacre::test
