// SPDX-License-Identifier: Apache-2.0
//
// Parts of a file that are made before a sequential reader asks for them.
#include <algorithm>
#include <catch2/catch.hpp>
#include <future>
#include <mutex>
#include <semaphore>
#include <vector>

#include "fs/ready_parts.hpp"

using namespace nacre;

namespace {

constexpr std::uint64_t kib = 1024, part = 512 * kib, file_size = 10 * part + 77;

std::uint8_t byte_at(std::uint64_t offset) { return static_cast<std::uint8_t>(offset / kib * 7); }

// What is made, and by whom.
struct World {
  ReadyParts::Make make() {
    return [this](std::uint64_t offset, MutableByteView out) {
      begun.release();
      gate.acquire();
      fill(offset, out);
      return true;
    };
  }
  ReadyParts::Make make_at_once() {
    return [this](std::uint64_t offset, MutableByteView out) {
      fill(offset, out);
      return works;
    };
  }
  void fill(std::uint64_t offset, MutableByteView out) {
    for (auto& byte : out) byte = byte_at(offset++);
    const std::lock_guard lock(mutex);
    made.push_back(offset - out.size());
  }
  // All that has been given to the workers is done.
  void settle() {
    std::promise<void> last;
    workers.run([&] { last.set_value(); });
    last.get_future().wait();
  }
  // How much of `size` bytes from `offset` is there, all of it right.
  std::size_t take(std::uint64_t offset, std::size_t size) {
    Bytes out(size);
    const auto got = parts.take(offset, out);
    for (std::size_t i = 0; i < got; ++i) {
      if (out[i] != byte_at(offset + i)) return 0;
    }
    return got;
  }

  bool works = true;
  std::counting_semaphore<> begun{0}, gate{0};
  std::mutex mutex;
  std::vector<std::uint64_t> made;
  Workers workers{1, 4 * part};
  ReadyParts parts{workers, file_size};
};

}  // namespace

TEST_CASE("a sequential reader finds what follows, made once", "[ready]") {
  World world;
  const auto make = world.make_at_once();
  CHECK(world.take(part, 10) == 0);
  std::uint64_t found = 0;
  for (std::uint64_t offset = 0; offset < file_size; offset += 128 * kib) {
    world.parts.go_on(offset, make);
    world.settle();
    found += world.take(offset, 128 * kib);
  }
  CHECK(found == file_size);
  CHECK(world.made.size() == 11);
  CHECK(std::ranges::is_sorted(world.made));
  // Its memory is free again.
  CHECK(world.workers.room(4 * part));
}

TEST_CASE("what is just being made is waited for, what has not begun is not", "[ready]") {
  World world;
  world.parts.go_on(part, world.make());
  world.begun.acquire();
  CHECK(world.take(2 * part, 10) == 0);  // the one worker is busy with the part before
  auto waiting = std::async(std::launch::async, [&] { return world.take(part + 5, part); });
  world.gate.release();
  CHECK(waiting.get() == part - 5);
  world.gate.release(2);
  world.settle();
  CHECK(world.made == std::vector{part, 3 * part, 4 * part});  // nobody makes the second any more
  CHECK(world.take(2 * part, 10) == 0);
  CHECK(world.take(3 * part, 10) == 10);
}

TEST_CASE("what cannot be made, or has no room, is left to the reader", "[ready]") {
  World world;
  SECTION("not without waiting") { world.works = false; }
  SECTION("no room") {
    const auto room = world.workers.room(4 * part);
    REQUIRE(room);
    world.parts.go_on(0, world.make_at_once());
    CHECK(world.take(0, 10) == 0);
    return;
  }
  world.parts.go_on(0, world.make_at_once());
  world.settle();
  CHECK(world.take(0, 10) == 0);
  CHECK(world.take(part, 10) == 0);
}

TEST_CASE("nothing is kept for who does not go on", "[ready]") {
  World world;
  world.parts.go_on(0, world.make_at_once());
  world.settle();
  CHECK(world.take(part, 10) == 10);
  SECTION("he stops") { world.parts.stop(); }
  SECTION("he is far ahead") { world.parts.go_on(8 * part, world.make_at_once()); }
  CHECK(world.take(part, 10) == 0);
}
