// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <thread>
#include <unordered_set>

#include "content_fixture.hpp"
#include "fs/patience.hpp"
#include "gate.hpp"

namespace nacre {
namespace {

using namespace test;
using Catch::Matchers::Contains;

TEST_CASE("what is uploaded has the ids of real clients, and equal blocks are sent once") {
  ContentFixture f;
  MemorySource zeros(Bytes(20U << 20U));  // as a real desktop client cut zeros20M.bin
  Uploader uploader(*f.depot, f.library, nullptr);
  const auto object = uploader.add(zeros);
  uploader.finish();
  CHECK(object.id.hex() == "dfb0b858b31b3959464731ea9d7409eeae03c2ab");
  const auto file = read_file(object.id, object.json);
  REQUIRE(file.blocks.size() == 2);
  CHECK(file.blocks[0].hex() == "8c206a1a87599f532ce68675536f0b1546900d7a");
  CHECK(f.remote.count.put_block == 1);
  CHECK(uploader.bytes_sent() == 10U << 20U);

  std::uint32_t x = 1;  // the stream of the specification's vectors, section 2.2
  Bytes stream(64U << 20U);
  for (auto& byte : stream) {
    x ^= x << 13U;
    x ^= x >> 17U;
    x ^= x << 5U;
    byte = static_cast<std::uint8_t>(x);
  }
  MemorySource source(std::move(stream));
  const auto cut = read_file({}, uploader.add(source).json);
  uploader.finish();
  std::vector<std::string> ids;
  for (const auto& id : cut.blocks) ids.push_back(id.hex());
  CHECK(ids ==
        std::vector<std::string>{
            "bc66786e70af1e7fb562463555f4c7fa94e82c83", "4902ad9e7acc8c620dcd8eefc9bc750d4bf45ef6",
            "ab26e2208ab8435d8d11d94cba99499ce7858ee7", "7192e8cb37f038c4cbe3aca5e003789404fa60c5",
            "821c40f1c270f4329bdb9af041baf102cdf9673d", "8241ca67e4155a506e809e9e5b26ec6c8d84ae83",
            "89c655f10f4df55d800ccb3ca9a5580d6935e5df"});
  // Whoever uploads the same again sends nothing.
  const int before = f.remote.count.put_block;
  Uploader again(*f.depot, f.library, nullptr);
  CHECK(read_file({}, again.add(source).json).blocks == cut.blocks);
  again.finish();
  CHECK(f.remote.count.put_block == before);
}

TEST_CASE("what was uploaded is read without asking the remote, and from it") {
  const auto version = GENERATE(0, 2, 3, 4);
  CAPTURE(version);
  ContentFixture f;
  const auto key = make_key(version);
  const auto content = noise((11U << 20U) + 5);
  MemorySource source(content), small(noise(5)), empty({});
  Uploader uploader(*f.depot, f.library, key);
  const auto object = uploader.add(source);
  const auto little = uploader.add(small);
  CHECK(uploader.add(empty).id.is_empty());
  uploader.finish();
  f.depot->remember(f.library, object);
  f.depot->remember(f.library, little);
  {
    const Hurry hurry;  // nothing is to be waited for, not even borders
    FileReader reader(*f.depot, f.library, key, object.id, content.size());
    CHECK(read_all(reader, (11U << 20U) - 100, 200) == part(content, (11U << 20U) - 100, 200));
    CHECK(read_all(reader, 0, content.size()) == content);
    FileReader other(*f.depot, f.library, key, little.id, 5);
    CHECK(read_all(other, 0, 5) == noise(5));
  }
  CHECK(f.remote.count.block + f.remote.count.block_sizes + f.remote.count.objects == 0);

  f.remote.add_object(f.library, object.json);
  ContentFixture elsewhere;
  for (const auto& id : read_file(object.id, object.json).blocks) {
    elsewhere.remote.add_block(f.library, *f.remote.stored_block(f.library, id));
  }
  elsewhere.remote.add_object(f.library, object.json);
  FileReader reader(*elsewhere.depot, f.library, key, object.id, content.size());
  CHECK(read_all(reader, 0, content.size()) == content);
}

// Reads nothing real, and notes how far ahead of the sending it is read.
class CountingSource : public PlainSource {
 public:
  CountingSource(std::uint64_t size, const Uploader& uploader) : size_(size), uploader_(uploader) {}
  [[nodiscard]] std::uint64_t size() const override { return size_; }
  void read(std::uint64_t offset, MutableByteView out) override {
    std::ranges::fill(out, static_cast<std::uint8_t>(offset >> 20U));
    ahead = std::max(ahead, offset + out.size() - uploader_.bytes_sent());
  }
  std::uint64_t ahead = 0;

 private:
  std::uint64_t size_;
  const Uploader& uploader_;
};

TEST_CASE("an upload holds no more than it may, however slow the remote is") {
  ContentFixture f;
  std::mutex mutex;
  f.remote.before = [&](const char* member) {
    if (std::string(member) != "put_block") return;
    const std::lock_guard lock(mutex);  // one after the other, and slowly
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
  };
  const std::uint64_t limit = 24U << 20U;
  Uploader uploader(*f.depot, f.library, nullptr, limit);
  CountingSource source(120U << 20U, uploader);
  uploader.add(source);
  uploader.finish();
  CHECK(uploader.bytes_sent() == source.size());
  CHECK(source.ahead <= limit + (12U << 20U));  // and the chunk being read
  CHECK(source.ahead > limit / 2);              // cutting does not wait for sending
}

TEST_CASE("the first failure of an upload is told, and ends it") {
  ContentFixture f;
  f.remote.before = [](const char* member) {
    if (std::string(member) == "put_block") throw Error(Errc::quota, "the account is full");
  };
  Uploader uploader(*f.depot, f.library, make_key(2), 16U << 20U);
  MemorySource source(noise(1'000'000));
  uploader.add(source);
  CHECK_THROWS_WITH(uploader.finish(), Contains("the account is full"));
  CountingSource big(200U << 20U, uploader);
  CHECK(code_of([&] { uploader.add(big); }) == Errc::quota);
  CHECK(code_of([&] { uploader.finish(); }) == Errc::quota);
}

TEST_CASE("an upload that is given up while the remote is slow ends at once after that call") {
  ContentFixture f;
  Gate gate;
  f.remote.before = [&](const char* member) {
    if (std::string(member) == "missing_blocks") gate.pass();
  };
  auto uploader = std::make_unique<Uploader>(*f.depot, f.library, nullptr, 24U << 20U);
  MemorySource source(noise(20U << 20U));
  uploader->add(source);
  gate.await(1);
  auto gone = std::async(std::launch::async, [&] { uploader.reset(); });
  gate.open();
  gone.get();
  CHECK(f.remote.count.put_block <= 6);
}

TEST_CASE("five thousand small files cost a handful of questions") {
  ContentFixture f;
  Uploader uploader(*f.depot, f.library, make_key(4));
  std::unordered_set<ObjectId> ids;
  for (int i = 0; i < 5'000; ++i) {
    const auto text = "small file " + std::to_string(i);
    MemorySource source({text.begin(), text.end()});
    ids.insert(uploader.add(source).id);
  }
  uploader.finish();
  CHECK(ids.size() == 5'000);
  CHECK(f.remote.count.put_block == 5'000);
  CHECK(f.remote.count.missing_blocks <= 20);
}

}  // namespace
}  // namespace nacre
