// SPDX-License-Identifier: Apache-2.0
//
// What a mount knows without its server, and that it knows that it is alone.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "base/error.hpp"
#include "base/waiting.hpp"
#include "code_of.hpp"
#include "crypto/random.hpp"
#include "fs/library_list.hpp"
#include "fs/watched_remote.hpp"
#include "memory_remote.hpp"

using namespace nacre;
using test::code_of;
using namespace std::chrono_literals;

namespace {

struct Watched {
  Watched() {
    auto memory = std::make_unique<test::MemoryRemote>();
    memory->before = [this](const char*) {
      ++asked;
      if (away) throw Error(Errc::unreachable, "cable pulled");
      if (refuses) throw Error(Errc::denied, "not for you");
    };
    remote = std::make_unique<WatchedRemote>(std::move(memory));
    remote->on_change([this] { ++changes; });
  }
  std::atomic<int> asked = 0, changes = 0;
  std::atomic<bool> away = false, refuses = false;
  std::unique_ptr<WatchedRemote> remote;
};

}  // namespace

TEST_CASE("the list of libraries reads back as it was written", "[offline]") {
  std::vector<LibraryInfo> libraries(3);
  libraries[0] = {random_library_id(), "Photos / ä", "me@example.com", true, false,
                  1ULL << 40U,         -5,           random_id()};
  libraries[1] = {random_library_id(), "", "", false, true, 0, 1'700'000'000, std::nullopt};
  libraries[2].id = random_library_id();
  const auto bytes = encode(libraries);
  const auto read = decode_libraries(bytes);
  REQUIRE(read.size() == libraries.size());
  for (std::size_t i = 0; i < read.size(); ++i) {
    CHECK(read[i].id == libraries[i].id);
    CHECK(read[i].name == libraries[i].name);
    CHECK(read[i].owner == libraries[i].owner);
    CHECK(read[i].encrypted == libraries[i].encrypted);
    CHECK(read[i].writable == libraries[i].writable);
    CHECK(read[i].size == libraries[i].size);
    CHECK(read[i].mtime == libraries[i].mtime);
    CHECK(read[i].head == libraries[i].head);
  }
  CHECK(decode_libraries({}).empty());
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    try {
      const auto part = decode_libraries(ByteView(bytes).first(size));
      CHECK(part.size() < libraries.size());  // cut between two
    } catch (const Error& error) {
      CHECK(error.code() == Errc::corrupt);
    }
  }
}

TEST_CASE_METHOD(Watched, "a server that is known to be away is not asked by who fails fast",
                 "[offline]") {
  away = true;
  CHECK(code_of([&] { remote->libraries(); }) == Errc::unreachable);
  CHECK(remote->away());
  CHECK(changes == 1);
  CHECK(asked == 1);
  {
    const WaitAs program(Waiting::at_most(30s, true));
    CHECK(code_of([&] { remote->head({}); }) == Errc::unreachable);
    CHECK(asked == 1);
  }
  away = false;
  {
    const WaitAs program(Waiting::at_most(30s, true));
    CHECK(code_of([&] { remote->head({}); }) == Errc::unreachable);  // nobody has noticed yet
  }
  remote->libraries();
  CHECK_FALSE(remote->away());
  CHECK(changes == 2);
  const WaitAs program(Waiting::at_most(30s, true));
  remote->head({});
  CHECK(asked == 3);
}

TEST_CASE_METHOD(Watched, "a server that refuses is there", "[offline]") {
  away = true;
  CHECK(code_of([&] { remote->libraries(); }) == Errc::unreachable);
  away = false;
  refuses = true;
  CHECK(code_of([&] { remote->libraries(); }) == Errc::denied);
  CHECK_FALSE(remote->away());
}

TEST_CASE_METHOD(Watched, "nobody is asked once the mount ends", "[offline]") {
  remote->libraries();
  remote->end();
  CHECK(code_of([&] { remote->libraries(); }) == Errc::interrupted);
  CHECK(asked == 1);
}
