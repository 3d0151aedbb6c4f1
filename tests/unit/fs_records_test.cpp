// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "content_fixture.hpp"
#include "fs/intent.hpp"

namespace nacre::test {
namespace {

ObjectId some_id(std::uint8_t n) {
  ObjectId id;
  id.bytes.fill(n);
  return id;
}

Intent example(const LibraryId& library) {
  Intent intent;
  intent.commit.library = library;
  intent.commit.root = some_id(1);
  intent.commit.parent = some_id(2);
  intent.commit.creator_name = "me";
  intent.commit.library_name = "files";
  intent.commit.id = commit_id(intent.commit);
  intent.batch.library = library;
  intent.batch.generation = 99;
  BatchFolder inner{5, some_id(3), some_id(4), {}};
  BatchEntry file;
  file.name = "a file";
  file.content = true;
  file.generation = 98;
  file.number = 12;
  file.version = 1234;
  file.dirent = {"a file", some_id(5), mode_executable, 1'700'000'000, 77, "me"};
  BatchEntry gone;
  gone.name = "gone";
  gone.removed = true;
  gone.generation = 97;
  inner.entries = {file, gone};
  BatchFolder top{top_number, some_id(6), some_id(7), {}};
  BatchEntry folder;
  folder.name = "folder";
  folder.number = 5;
  folder.folder = 0;
  folder.dirent.name = "folder";
  folder.dirent.mode = mode_directory;
  BatchEntry waits;
  waits.name = "open";
  waits.dirent.name = "open";
  waits.waits = true;
  top.entries = {folder, waits};
  intent.batch.folders = {inner, top};
  return intent;
}

}  // namespace

TEST_CASE("a batch that is being published is read back as it was written", "[records]") {
  const auto library = *LibraryId::parse("11111111-2222-3333-4444-555555555555");
  const auto intent = example(library);
  const auto bytes = encode(intent);
  const auto read = decode_intent(library, bytes);
  CHECK(read.commit.id == intent.commit.id);
  CHECK(read.commit.parent == intent.commit.parent);
  CHECK(read.batch.generation == 99);
  REQUIRE(read.batch.folders.size() == 2);
  CHECK(read.batch.folders[0].built == some_id(4));
  const auto& file = read.batch.folders[0].entries.at(0);
  CHECK(file.dirent == intent.batch.folders[0].entries[0].dirent);
  CHECK((file.content && file.version == 1234 && file.number == 12 && file.generation == 98));
  CHECK(read.batch.folders[0].entries.at(1).removed);
  CHECK(read.batch.folders[1].entries.at(0).folder == 0);
  CHECK(read.batch.folders[1].entries.at(1).waits);
  CHECK(encode(read) == bytes);
}

TEST_CASE("damaged records are refused, wherever they were cut or changed", "[records]") {
  const auto library = *LibraryId::parse("11111111-2222-3333-4444-555555555555");
  const auto bytes = encode(example(library));
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_THROWS_AS(decode_intent(library, ByteView(bytes).first(size)), Error);
  auto longer = bytes;
  longer.push_back(0);
  CHECK_THROWS_AS(decode_intent(library, longer), Error);
  // Whatever a byte is changed to, nothing but an Error comes of it.
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    auto changed = bytes;
    changed[at] ^= 0xff;
    try {
      decode_intent(library, changed);
    } catch (const Error&) {
    }
  }

  const Bytes extent{1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 4, 5};
  const ExtentRanges ranges{{0, 3}, {10, 12}};
  const auto good = encode_extent(ranges, extent);
  CHECK(decode_extent(good).valid == ranges);
  CHECK(std::ranges::equal(decode_extent(good).data, Bytes{1, 2, 3, 4, 5}));
  const Bytes too_long(extent_size + 1);
  CHECK_THROWS_AS(decode_extent(encode_extent({{0, extent_size + 1}}, too_long)), Error);
  const FileRecord file{some_id(1), 5, 4, 3, 2, true};
  const auto read = decode_file(encode(file));
  CHECK((read.base == file.base && read.base_size == 5 && read.base_limit == 4));
  CHECK((read.size == 3 && read.version == 2 && read.partial));
}

}  // namespace nacre::test
