// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <thread>

#include "content_fixture.hpp"
#include "eventually.hpp"
#include "fs/file_reader.hpp"
#include "fs/layout.hpp"
#include "fs/patience.hpp"
#include "gate.hpp"

namespace nacre {
namespace {

using namespace test;
using Catch::Matchers::Contains;

TEST_CASE("a read at any offset gives the content, cold and warm, for every encryption") {
  const auto version = GENERATE(0, 2, 3, 4);
  const auto shape = GENERATE(0, 1, 2, 3, 4);
  ContentFixture f;
  const auto key = make_key(version);
  const auto content = noise(200'003);
  const std::vector<std::size_t> cuts = shape == 0   ? std::vector{content.size()}
                                        : shape == 1 ? even_cuts(content.size(), 16'384)
                                        : shape == 2 ? even_cuts(content.size(), 10'007)
                                        : shape == 3 ? odd_cuts(content.size(), 30'000)
                                                     : odd_cuts(content.size(), 900);
  const auto id = f.add_file(content, cuts, key.get());

  std::mt19937 random(static_cast<unsigned>(version * 10 + shape));
  for (const bool warm : {false, true}) {
    CAPTURE(version, shape, warm);
    if (warm) {
      FileReader whole(*f.depot, f.library, key, id, content.size());
      REQUIRE(read_all(whole, 0, content.size()) == content);
      f.restart();
    }
    const int before = f.remote.count.block;
    for (int i = 0; i < 60; ++i) {
      if (i % 20 == 0 && !warm) f.restart();
      FileReader reader(*f.depot, f.library, key, id, content.size());
      for (int j = 0; j < 3; ++j) {
        const auto offset = random() % content.size();
        const auto size = 1 + random() % (j == 0 ? 40 : 50'000);
        REQUIRE(read_all(reader, offset, size) == part(content, offset, size));
      }
    }
    if (warm) CHECK(f.remote.count.block == before);
  }
}

TEST_CASE("a read past the end is short, and the empty file asks nobody") {
  ContentFixture f;
  const auto content = noise(1000);
  FileReader reader(*f.depot, f.library, nullptr, f.add_file(content, {400, 600}, nullptr), 1000);
  CHECK(read_all(reader, 990, 100) == part(content, 990, 10));
  CHECK(read_all(reader, 1000, 100).empty());
  FileReader empty(*f.depot, f.library, nullptr, ObjectId{}, 0);
  CHECK(read_all(empty, 0, 10).empty());
}

TEST_CASE("sizes are asked for only when an offset needs them") {
  ContentFixture f;
  const auto content = noise(100'000);
  const auto id = f.add_file(content, even_cuts(content.size(), 5'000), nullptr);
  {
    FileReader reader(*f.depot, f.library, nullptr, id, content.size());
    for (std::size_t at = 0; at < content.size(); at += 3'000) {
      REQUIRE(read_all(reader, at, 3'000) == part(content, at, 3'000));
    }
    CHECK(f.remote.count.block_sizes == 0);
  }
  ContentFixture g;
  g.add_file(content, even_cuts(content.size(), 5'000), nullptr);
  for (int i = 0; i < 2; ++i) {
    FileReader reader(*g.depot, g.library, nullptr, id, content.size());
    REQUIRE(read_all(reader, 52'000, 100) == part(content, 52'000, 100));
    CHECK(g.remote.count.block_sizes == 1);
    CHECK(g.remote.count.block == 1);
    g.restart();
  }
}

TEST_CASE("borders of an encrypted file cost few blocks, and are learned once") {
  ContentFixture f;
  const auto key = make_key(4);
  const auto count = [&](const Bytes& content, const std::vector<std::size_t>& cuts,
                         std::uint64_t offset) {
    const auto id = f.add_file(content, cuts, key.get());
    const int before = f.remote.count.block;
    FileReader reader(*f.depot, f.library, key, id, content.size());
    REQUIRE(read_all(reader, offset, 10) == part(content, offset, 10));
    const int cost = f.remote.count.block - before;
    // What was fetched to learn from stays, and so does what was learned.
    FileReader again(*f.depot, f.library, key, id, content.size());
    REQUIRE(read_all(again, offset + 1, 10) == part(content, offset + 1, 10));
    REQUIRE(f.remote.count.block - before == cost);
    return cost;
  };
  // All padded by 16: nothing to learn.  Fixed blocks: the last tells all.
  const auto round = noise(100'000), odd = noise(100'003, 2);
  CHECK(count(round, even_cuts(round.size(), 2'000), 50'001) == 1);
  CHECK(count(odd, even_cuts(odd.size(), 2'000), 50'001) == 2);
  // Otherwise from the nearer end, after the last, which might have told all.
  CHECK(count(odd, even_cuts(odd.size(), 1'001), 3'500) <= 5);
  CHECK(count(odd, even_cuts(odd.size(), 1'001), 97'500) <= 4);
}

TEST_CASE("one fetch serves all who wait, whether for a block or for an object") {
  ContentFixture f;
  const auto content = noise(50'000);
  const auto id = f.add_file(content, {content.size()}, nullptr);
  Gate gate;
  f.remote.before = [&](const char*) { gate.pass(); };
  std::vector<std::future<Bytes>> readers;
  for (int i = 0; i < 8; ++i) {
    readers.push_back(std::async(std::launch::async, [&] {
      FileReader reader(*f.depot, f.library, nullptr, id, content.size());
      return read_all(reader, 0, content.size());
    }));
  }
  gate.await(1);
  gate.open();
  for (auto& reader : readers) CHECK(reader.get() == content);
  CHECK(f.remote.count.block == 1);
  CHECK(f.remote.count.objects == 1);
}

TEST_CASE("many threads read one file while memory holds little of it") {
  ContentFixture f;
  f.options.block_memory = 60'000;
  f.restart();
  const auto key = make_key(4);
  const auto content = noise(400'000);
  const auto id = f.add_file(content, odd_cuts(content.size(), 20'000), key.get());
  FileReader reader(*f.depot, f.library, key, id, content.size());
  std::vector<std::future<bool>> readers;
  for (unsigned seed = 0; seed < 6; ++seed) {
    readers.push_back(std::async(std::launch::async, [&, seed] {
      std::mt19937 random(seed);
      bool right = true;
      for (std::size_t i = 0; i < 80; ++i) {
        const auto offset = seed < 2 ? i * 5'000 : random() % content.size();
        right = right && read_all(reader, offset, 5'000) == part(content, offset, 5'000);
      }
      return right;
    }));
  }
  for (auto& each : readers) CHECK(each.get());
}

TEST_CASE("a failed fetch fails those who waited for it, and is tried again by the next") {
  ContentFixture f;
  const auto content = noise(5'000);
  const auto id = f.add_file(content, {content.size()}, nullptr);
  std::atomic<bool> down = true;
  f.remote.before = [&](const char* member) {
    if (down && std::string(member) == "block") throw Error(Errc::unreachable, "down");
  };
  FileReader reader(*f.depot, f.library, nullptr, id, content.size());
  CHECK(code_of([&] { read_all(reader, 0, 10); }) == Errc::unreachable);
  down = false;
  CHECK(read_all(reader, 0, content.size()) == content);
}

TEST_CASE("in a hurry nothing waits: neither for the network nor for another's fetch") {
  ContentFixture f;
  const auto key = make_key(2);
  const auto content = noise(50'000);
  const auto id = f.add_file(content, odd_cuts(content.size(), 9'000), key.get());
  FileReader reader(*f.depot, f.library, key, id, content.size());
  {
    const Hurry hurry;
    CHECK_THROWS_AS(read_all(reader, 0, 10), WouldBlock);
    CHECK(f.remote.count.objects + f.remote.count.block == 0);
  }
  Gate gate;
  f.remote.before = [&](const char* member) {
    if (std::string(member) == "block") gate.pass();
  };
  auto other = std::async(std::launch::async, [&] { return read_all(reader, 0, 10); });
  gate.await(1);
  {
    const Hurry hurry;
    CHECK_THROWS_AS(read_all(reader, 0, 10), WouldBlock);
  }
  gate.open();
  CHECK(other.get() == part(content, 0, 10));
  CHECK(read_all(reader, 0, content.size()) == content);
  {
    const Hurry hurry;
    CHECK(read_all(reader, 0, content.size()) == content);
  }
  f.restart();
  FileReader warm(*f.depot, f.library, key, id, content.size());
  const Hurry hurry;
  CHECK(read_all(warm, 0, content.size()) == content);
}

TEST_CASE("blocks and sizes that do not agree are an error, never other bytes") {
  const auto version = GENERATE(0, 2, 3);
  CAPTURE(version);
  ContentFixture f;
  const auto key = make_key(version);
  const auto content = noise(30'000);
  const auto id = f.add_file(content, {10'000, 20'000}, key.get());

  FileReader other_size(*f.depot, f.library, key, id, 29'999);
  CHECK(code_of([&] { read_all(other_size, 0, 10); }) == Errc::corrupt);

  const auto claims = [&](std::uint64_t size, std::vector<Bytes> blocks) {
    File file{size, {}};
    for (auto& block : blocks)
      file.blocks.push_back(f.remote.add_block(f.library, std::move(block)));
    return f.remote.add_object(f.library, write_file(file));
  };
  const auto stored = stored_form(key.get(), content);
  for (const std::uint64_t size : {std::uint64_t{29'999}, std::uint64_t{30'001}}) {
    CAPTURE(size);
    FileReader one(*f.depot, f.library, key, claims(size, {stored}), size);
    CHECK(code_of([&] { read_all(one, 0, 30'001); }) == Errc::corrupt);
    const auto two = stored_form(key.get(), ByteView(content).first(10'000));
    FileReader both(*f.depot, f.library, key, claims(size + 10'000, {two, stored}), size + 10'000);
    CHECK(code_of([&] { read_all(both, 0, 50'000); }) == Errc::corrupt);
    CHECK(code_of([&] { read_all(both, 25'000, 50'000); }) == Errc::corrupt);
  }
  FileReader none(*f.depot, f.library, key, ObjectId{}, 5);
  CHECK(code_of([&] { read_all(none, 0, 5); }) == Errc::corrupt);
  if (version != 0) {
    auto odd = stored;
    odd.pop_back();
    FileReader cut(*f.depot, f.library, key, claims(29'990, {odd}), 29'990);
    CHECK(code_of([&] { read_all(cut, 0, 10); }) == Errc::corrupt);
    auto bad = stored;
    bad.back() ^= 1;  // its padding with it
    FileReader pad(*f.depot, f.library, key, claims(30'000, {bad}), 30'000);
    CHECK(code_of([&] { read_all(pad, 0, 10); }) == Errc::corrupt);
  }
}

TEST_CASE("a remote that lies about sizes is found out, and believed again when it stops") {
  const auto version = GENERATE(0, 4);
  CAPTURE(version);
  ContentFixture f;
  const auto key = make_key(version);
  const auto content = noise(90'000);
  const auto id = f.add_file(content, even_cuts(content.size(), 9'000), key.get());
  const std::uint64_t shift = GENERATE(16, 4'800);
  f.remote.lie_about_sizes = [&](auto& sizes) {  // the sum stays right
    sizes[1] += shift;
    sizes[8] -= shift;
  };
  FileReader reader(*f.depot, f.library, key, id, content.size());
  CHECK(code_of([&] { read_all(reader, 40'000, 90'000); }) == Errc::corrupt);
  f.remote.lie_about_sizes = [](auto&) {};
  CHECK(read_all(reader, 40'000, 90'000) == part(content, 40'000, 90'000));
}

TEST_CASE("a sequential reader is read ahead of, a random one is not") {
  ContentFixture f;
  const auto content = noise(20U << 20U);
  const auto id = f.add_file(content, even_cuts(content.size(), 1U << 20U), nullptr);
  FileReader reader(*f.depot, f.library, nullptr, id, content.size());
  for (std::size_t at = 0; at < (768U << 10U); at += 128U << 10U) read_all(reader, at, 128U << 10U);
  CHECK(eventually([&] { return f.remote.count.block >= 2; }));
  for (std::size_t at = 768U << 10U; at < (4U << 20U); at += 128U << 10U) {
    read_all(reader, at, 128U << 10U);
  }
  CHECK(eventually([&] { return f.remote.count.block >= 8; }));
  CHECK(f.remote.count.block <= 4 + 16);

  ContentFixture g;
  g.add_file(content, even_cuts(content.size(), 1U << 20U), nullptr);
  FileReader jumper(*g.depot, g.library, nullptr, id, content.size());
  for (const std::size_t mib : {17, 3, 11, 5, 0, 17}) {
    REQUIRE(read_all(jumper, mib << 20U, 4'096) == part(content, mib << 20U, 4'096));
  }
  g.restart();  // whatever was on its way has come
  CHECK(g.remote.count.block == 5);
}

TEST_CASE("objects come in packs, once, and are at hand then") {
  ContentFixture f;
  std::vector<ObjectId> ids;
  for (int i = 0; i < 500; ++i) {
    Directory directory;
    Dirent entry;
    entry.name = "file " + std::to_string(i);
    entry.id = sha1(as_bytes(entry.name));
    directory.entries.push_back(entry);
    ids.push_back(f.remote.add_object(f.library, write_directory(directory)));
  }
  ids.push_back(ids.front());
  ids.push_back(ObjectId{});
  CHECK(f.depot->known_directory(f.library, ids[3]) == nullptr);
  f.depot->fetch_objects(f.library, ids);
  f.depot->fetch_objects(f.library, ids);
  CHECK(f.remote.count.objects == 1);
  CHECK(f.remote.count.object_ids == 500);
  {
    const Hurry hurry;
    CHECK(f.depot->directory(f.library, ids[3])->entries.front().name == "file 3");
  }
  f.restart();
  CHECK(f.depot->known_directory(f.library, ids[7])->entries.front().name == "file 7");
  CHECK(f.depot->directory(f.library, ObjectId{})->entries.empty());
  CHECK(f.remote.count.objects == 1);
  CHECK(code_of([&] { f.depot->file(f.library, ids[3]); }) == Errc::corrupt);
}

TEST_CASE("a layout tells what is certain, and no more") {
  Layout plain(3, 100, false);
  CHECK(plain.find(0)->block == 0);
  CHECK_FALSE(plain.find(1));
  plain.set_length(0, 40);
  CHECK(plain.find(40)->block == 1);
  CHECK_FALSE(plain.find(41));
  CHECK_THROWS_AS(plain.set_length(0, 41), Error);
  CHECK_THROWS_AS(plain.set_length(1, 60), Error);  // nothing left for the third
  plain.set_length(1, 59);
  CHECK(plain.find(99)->block == 2);
  CHECK(plain.length(2) == 1);

  Layout sealed(3, 100, true);  // 38 + 31 + 31
  CHECK_THROWS_AS(sealed.set_stored_sizes(std::vector<std::uint64_t>{48, 32}), Error);
  CHECK_THROWS_AS(sealed.set_stored_sizes(std::vector<std::uint64_t>{48, 48, 64}), Error);
  CHECK_THROWS_AS(sealed.set_stored_sizes(std::vector<std::uint64_t>{48, 24, 40}), Error);
  sealed.set_stored_sizes(std::vector<std::uint64_t>{48, 32, 32});
  CHECK(sealed.find(31)->block == 0);  // 32 bytes at least
  CHECK_FALSE(sealed.find(40));
  sealed.see(0, 48, 38);  // leaves one byte of padding for each of the others
  CHECK(sealed.length(1) == 31);
  CHECK(sealed.find(69)->block == 2);
  CHECK_THROWS_AS(Layout(3, 2, false), Error);
  CHECK_THROWS_AS(Layout(0, 1, true), Error);
}

}  // namespace
}  // namespace nacre
