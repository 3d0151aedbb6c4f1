// SPDX-License-Identifier: Apache-2.0
//
// Unsent contents: written in any way, published at any moment, read back from
// state as they were saved.
#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>
#include <random>

#include "content_fixture.hpp"
#include "fs/content_view.hpp"
#include "fs/file_content.hpp"

namespace nacre::test {
namespace {

constexpr NodeNumber number = 7;

struct Unsent : ContentFixture {
  TemporaryFolder state_folder;
  std::optional<State> state{std::in_place, state_folder.path() / "state",
                             SealKey(Secret::copy_of(noise(32, 5)))};
  std::shared_ptr<KeyHolder> key = std::make_shared<KeyHolder>(false);
  std::unique_ptr<ContentStore> store;

  explicit Unsent(std::uint64_t buffer = 64U << 20U) {
    store = std::make_unique<ContentStore>(*depot, *state, buffer);
  }

  std::unique_ptr<FileContent> clean(const ObjectId& id, std::uint64_t size) {
    auto content = std::make_unique<FileContent>(*store, library, key, id, size);
    content->set_number(number);
    return content;
  }
  // As a daemon that starts finds it.
  std::unique_ptr<FileContent> restored() {
    const auto value = state->get(record_key::file(library, number));
    if (!value) return nullptr;
    const auto record = decode_file(*value);
    if (store->next_version <= record.version) store->next_version = record.version + 1;
    std::vector<std::uint64_t> extents;
    state->scan_keys(record_key::extents_of(library, number),
                     [&](ByteView name) { extents.push_back(record_key::index_in(name)); });
    return std::make_unique<FileContent>(*store, library, key, number, record, extents);
  }
  ObjectId upload(ContentView& view) {
    Uploader uploader(*depot, library, nullptr);
    const auto object = uploader.add(view);
    uploader.finish();
    if (!object.id.is_empty()) remote.add_object(library, object.json);
    return object.id;
  }
  std::optional<ContentView> view() {
    return ContentView::open(*depot, state->snapshot(), library, key, number);
  }
};

Bytes all_of(FileContent& content) {
  Bytes bytes(content.size() + 100);
  bytes.resize(content.read(0, bytes));
  return bytes;
}

Bytes all_of(ContentView& view) {
  Bytes bytes(view.size());
  if (!bytes.empty()) view.read(0, bytes);
  return bytes;
}

class Scribbler {
 public:
  Scribbler(unsigned seed, Bytes start) : model(std::move(start)), random_(seed) {}

  // One change, to the content and to the model.
  void act(FileContent& content) {
    const auto kind = pick(10);
    if (kind < 6) {
      const auto at = pick(model.size() + (kind == 0 ? 300'000 : 1));
      const auto bytes = noise(1 + pick(kind < 3 ? 400 : 150'000), random_());
      if (model.size() < at + bytes.size()) model.resize(at + bytes.size());
      std::ranges::copy(bytes, model.begin() + static_cast<std::ptrdiff_t>(at));
      content.write(at, bytes);
    } else if (kind < 8) {
      resize(content, pick(model.size() + 1));
    } else if (kind == 8) {
      resize(content, model.size() + pick(200'000));
    } else {
      resize(content, 0);
    }
  }
  std::size_t pick(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
  }

  Bytes model;

 private:
  void resize(FileContent& content, std::size_t size) {
    model.resize(size);
    content.truncate(size);
  }
  std::mt19937 random_;
};

}  // namespace

TEST_CASE("a content that is published while it is written on stays what it is", "[unsent]") {
  const auto seed = GENERATE(range(1U, 41U));
  CAPTURE(seed);
  Unsent world(seed % 3 == 0 ? 256U << 10U : 64U << 20U);
  const auto first = noise(500'000, seed);
  const auto id = world.add_file(first, even_cuts(first.size(), 200'000), nullptr);
  auto content = world.clean(id, first.size());
  Scribbler hand(seed, first);
  for (int round = 0; round < 12; ++round) {
    for (auto i = hand.pick(5); i > 0; --i) hand.act(*content);
    REQUIRE(all_of(*content) == hand.model);
    if (!content->dirty()) continue;
    world.state->commit(content->save());
    auto view = world.view();
    REQUIRE(view);
    const auto then = hand.model;
    CHECK(view->version() == content->version());
    for (auto i = hand.pick(4); i > 0; --i) hand.act(*content);
    CHECK(all_of(*view) == then);  // whatever was written meanwhile
    const auto sent = world.upload(*view);
    std::vector<State::Change> staged;
    const bool unchanged = content->version() == view->version();
    CHECK(content->published(view->version(), sent, view->size(), staged) == unchanged);
    if (!staged.empty()) world.state->commit(world.state->stage(std::move(staged)));
    REQUIRE(all_of(*content) == hand.model);
    if (unchanged) CHECK_FALSE(world.state->get(record_key::file(world.library, number)));
    if (hand.pick(3) == 0) {  // killed: what was saved is there, to the last byte
      if (!content->dirty()) continue;
      world.state->commit(content->save());
      content = world.restored();
      REQUIRE(content);
      REQUIRE(all_of(*content) == hand.model);
    }
  }
}

TEST_CASE("a daemon killed in the middle of writing finds what was closed, and whole", "[unsent]") {
  Unsent world(256U << 10U);
  auto content = world.clean({}, 0);
  const auto closed = noise(300'000, 1);
  content->write(0, closed);
  world.state->commit(content->save());
  const auto version = content->version();
  for (std::size_t i = 0; i < 20; ++i)  // more than memory may hold
    content->write(closed.size() + i * 100'000, noise(100'000, 2));
  CHECK_FALSE(world.view());  // half of it is there: no snapshot to send
  content = world.restored();
  auto now = all_of(*content);
  REQUIRE(now.size() >= closed.size());
  now.resize(closed.size());
  CHECK(now == closed);
  CHECK(content->version() != version);  // other bytes than those that were closed
  world.state->commit(content->save());
  CHECK(world.view());
}

TEST_CASE("what was cut off does not come back after a kill", "[unsent]") {
  Unsent world;
  auto content = world.clean({}, 0);
  content->write(0, noise(200'000, 1));
  world.state->commit(content->save());
  content->truncate(150'000);
  content->truncate(10'000);
  world.state->commit_staged();
  content = world.restored();
  content->truncate(200'000);
  auto expected = noise(200'000, 1);
  std::fill(expected.begin() + 10'000, expected.end(), std::uint8_t{0});
  CHECK(all_of(*content) == expected);
}

TEST_CASE("memory for unsent bytes is bounded, however much is written", "[unsent]") {
  constexpr std::uint64_t buffer = 1U << 20U;
  Unsent world(buffer);
  auto content = world.clean({}, 0);
  const auto piece = noise(100'000, 1);
  for (std::uint64_t at = 0; at < 50'000'000; at += piece.size()) {
    content->write(at, piece);
    REQUIRE(world.store->buffered + world.state->staged_bytes() <= buffer + 2 * extent_size);
  }
}

}  // namespace nacre::test
