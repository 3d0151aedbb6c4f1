// SPDX-License-Identifier: Apache-2.0
//
// Parts of blocks, given out while the blocks are on their way.
#include <algorithm>
#include <catch2/catch.hpp>
#include <future>
#include <map>
#include <optional>

#include "base/guarded.hpp"
#include "base/waiting.hpp"
#include "code_of.hpp"
#include "fs/arrivals.hpp"

using namespace nacre;
using test::code_of;

namespace {

constexpr std::size_t size = 1000;

Fetchers::Job job(std::uint8_t n) {
  ContentId key;
  key.id.bytes[0] = n;
  return {key, BlockCache::Kind::plain};
}

// A server that sends what it is told to, when it is told to.
class Server {
 public:
  Arrivals::Fetch fetch() {
    return [this](const Fetchers::Job& asked, const std::stop_token& stop) {
      auto end = begin(asked.key.id.bytes[0], stop);
      while (end.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready)
        if (stop.stop_requested()) throw Error(Errc::interrupted, "given up");
      if (const auto code = end.get()) throw Error(*code, "as the test wants it");
    };
  }
  // The block has been asked for.
  void await(std::uint8_t n) {
    while (!fetches_.with([&](auto& all) { return all.contains(n); })) std::this_thread::yield();
  }
  [[nodiscard]] bool given_up(std::uint8_t n) {
    return fetches_.with([&](auto& all) { return all.at(n).stop.stop_requested(); });
  }
  void finish(std::uint8_t n, std::optional<Errc> failure = {}) {
    fetches_.with([&](auto& all) { all.at(n).end.set_value(failure); });
  }

 private:
  struct Fetching {
    std::promise<std::optional<Errc>> end;
    std::stop_token stop;
  };
  std::future<std::optional<Errc>> begin(std::uint8_t n, const std::stop_token& stop) {
    return fetches_.with([&](auto& all) {
      all.erase(n);
      auto& fetching = all[n];
      fetching.stop = stop;
      return fetching.end.get_future();
    });
  }
  Guarded<std::map<std::uint8_t, Fetching>> fetches_;
};

struct World {
  // Bytes [offset, offset + count) of block n, by a reader of its own.
  std::future<bool> read(std::uint8_t n, std::uint64_t offset, std::size_t count,
                         bool hurried = true) {
    return std::async(std::launch::async, [=, this] {
      Bytes out(count);
      if (!arrivals.take(job(n), {offset, size, hurried}, out)) return false;
      if (!std::ranges::equal(out, ByteView(content).subspan(offset, count)))
        throw Error(Errc::corrupt, "other bytes");
      return true;
    });
  }
  // So much has come, until that makes the reader go on.
  bool come(std::uint8_t n, std::size_t count, std::future<bool>& reader) {
    do arrivals.came(job(n).key, ByteView(content).first(count), size);
    while (reader.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready);
    return reader.get();
  }
  // Block n is on its way, and a reader has its beginning.
  void begin(std::uint8_t n) {
    auto reader = read(n, 0, 100);
    server.await(n);
    REQUIRE(come(n, 100, reader));
  }
  static Bytes numbers() {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7);
    return bytes;
  }

  const Bytes content = numbers();
  Server server;
  Arrivals arrivals{2, server.fetch()};
};

}  // namespace

TEST_CASE("a part is there before the block") {
  World world;
  world.begin(1);
  auto later = world.read(1, 500, 100);
  world.arrivals.came(job(1).key, ByteView(world.content).first(599), size);
  CHECK(later.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout);
  CHECK(world.come(1, 600, later));
  world.server.finish(1);
}

TEST_CASE("the end of a block waits for its check, as does a block of another size") {
  World world;
  auto end = world.read(1, 900, 100);
  world.server.await(1);
  world.arrivals.came(job(1).key, world.content, size);
  CHECK(end.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout);
  world.server.finish(1);
  CHECK_FALSE(end.get());

  auto other = world.read(2, 0, 100);
  world.server.await(2);
  world.arrivals.came(job(2).key, world.content, size + 1);
  CHECK(other.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout);
  world.server.finish(2);
  CHECK_FALSE(other.get());
}

TEST_CASE("who reads on and on gets whole blocks where they come soon, else parts") {
  World world;
  auto reader = world.read(1, 0, 100, false);
  world.server.await(1);
  world.arrivals.came(job(1).key, world.content, size);
  world.server.finish(1);
  CHECK_FALSE(reader.get());
  auto patient = world.read(2, 0, 100, false);
  world.server.await(2);
  CHECK(world.come(2, 500, patient));
  world.server.finish(2);
}

TEST_CASE("a part that was given out of a damaged block is remembered") {
  World world;
  world.begin(1);
  auto rest = world.read(1, 900, 100);
  CHECK(rest.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout);
  CHECK_FALSE(world.arrivals.any_spoiled());
  world.server.finish(1, Errc::corrupt);
  CHECK(code_of([&] { rest.get(); }) == Errc::corrupt);
  CHECK(world.arrivals.spoiled(job(1).key));
  CHECK_FALSE(world.arrivals.spoiled(job(2).key));

  auto unread = world.read(2, 0, 100);
  world.server.await(2);
  world.server.finish(2, Errc::corrupt);
  CHECK(code_of([&] { unread.get(); }) == Errc::corrupt);
  CHECK_FALSE(world.arrivals.spoiled(job(2).key));
}

TEST_CASE("of more blocks than there is room for, one that nobody waits for is given up") {
  World world;
  world.begin(1);
  auto second = world.read(2, 0, 100);
  world.server.await(2);
  CHECK_FALSE(world.server.given_up(1));
  auto third = world.read(3, 0, 100);
  world.server.await(3);  // in the place of the first
  CHECK(world.server.given_up(1));
  CHECK_FALSE(world.server.given_up(2));
  CHECK(world.come(2, 100, second));
  CHECK(world.come(3, 100, third));

  auto fourth = world.read(4, 0, 100);
  world.server.await(4);  // in the place of the newer one: of the other more has come
  CHECK(world.server.given_up(3));
  CHECK_FALSE(world.server.given_up(2));
  CHECK(world.come(4, 100, fourth));
  world.server.finish(2);
  world.server.finish(4);
}

TEST_CASE("a reader that is interrupted ends the fetch that nobody else waits for") {
  World world;
  std::stop_source interrupt;
  auto reader = std::async(std::launch::async, [&] {
    auto waits = Waiting::at_most(std::chrono::seconds(60));
    waits.stop = interrupt.get_token();
    const WaitAs program(std::move(waits));
    Bytes out(100);
    return code_of([&] { world.arrivals.take(job(1), {0, size, true}, out); });
  });
  world.server.await(1);
  interrupt.request_stop();
  CHECK(reader.get() == Errc::interrupted);
  CHECK(world.server.given_up(1));
}
