// SPDX-License-Identifier: Apache-2.0
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "cache/db.hpp"
#include "cache/state.hpp"
#include "child.hpp"
#include "temp_dir.hpp"
#include "unit/cache_kit.hpp"

namespace nacre::test {
namespace {

State::Change set(std::string_view key, std::string_view value) {
  return {bytes_of(key), bytes_of(value)};
}
State::Change gone(std::string_view key) { return {bytes_of(key), std::nullopt}; }

void save(State& state, std::vector<State::Change> changes) {
  state.commit(state.stage(std::move(changes)));
}

std::optional<std::string> value_of(State& state, std::string_view key) {
  const auto value = state.get(as_bytes(key));
  if (!value) return std::nullopt;
  return std::string(as_text(*value));
}

// What the call throws, as its code and text; fails where it throws nothing.
template <class F>
std::pair<Errc, std::string> failure(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  FAIL("nothing was thrown");
  return {};
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void tell(int pipe, std::uint64_t number) {
  if (::write(pipe, &number, sizeof number) != sizeof number) ::_exit(2);
}

}  // namespace

TEST_CASE("what was committed is there after a restart, what was only staged is not") {
  const TempDir dir;
  {
    State state(dir.path(), device_key());
    save(state, {set("a", "1"), set("b", "2"), set("empty", "")});
    save(state, {set("a", "3"), gone("b"), gone("never there")});
    state.stage({set("c", "4")});
  }
  State state(dir.path(), device_key());
  CHECK(value_of(state, "a") == "3");
  CHECK_FALSE(value_of(state, "b"));
  CHECK(value_of(state, "empty") == "");
  CHECK_FALSE(value_of(state, "c"));
}

TEST_CASE("sync brings everything that is staged") {
  const TempDir dir;
  {
    State state(dir.path(), device_key());
    state.stage({set("a", "1")});
    state.stage({set("b", "2")});
    state.sync();
    CHECK(state.staged_bytes() == 0);
    state.sync();  // nothing to do
  }
  State state(dir.path(), device_key());
  CHECK(value_of(state, "a") == "1");
  CHECK(value_of(state, "b") == "2");
}

TEST_CASE("get sees what is staged, and the last of it") {
  const TempDir dir;
  State state(dir.path(), device_key());
  save(state, {set("a", "old"), set("b", "old")});
  state.stage({set("a", "newer"), set("a", "newest")});
  const auto last = state.stage({gone("b")});
  CHECK(value_of(state, "a") == "newest");
  CHECK_FALSE(value_of(state, "b"));
  CHECK(state.staged_bytes() > 0);
  state.commit(last);
  CHECK(value_of(state, "a") == "newest");
  CHECK_FALSE(value_of(state, "b"));
  CHECK(state.staged_bytes() == 0);
}

TEST_CASE("what was staged and then staged anew takes no room, and is written once") {
  const TempDir dir;
  const std::string large(1U << 20U, 'x');
  {
    State state(dir.path(), device_key());
    for (int i = 0; i < 20; ++i)
      state.stage({set("a", large), set("only " + std::to_string(i), "")});
    CHECK(state.staged_bytes() < 2 * large.size());
    state.stage({gone("only 7"), set("a", "small")});
    CHECK(state.staged_bytes() < 1000);
    state.commit_staged();
    CHECK(state.staged_bytes() == 0);
    CHECK(value_of(state, "a") == "small");
  }
  State state(dir.path(), device_key());
  CHECK(value_of(state, "a") == "small");
  CHECK(value_of(state, "only 6") == "");
  CHECK_FALSE(value_of(state, "only 7"));
}

TEST_CASE("a commit takes along what was staged before it") {
  const TempDir dir;
  {
    State state(dir.path(), device_key());
    state.stage({set("first", "1")});
    state.commit(state.stage({set("second", "2")}));
  }
  State state(dir.path(), device_key());
  CHECK(value_of(state, "first") == "1");
}

TEST_CASE("eight threads that commit at once lose nothing, and the last ticket wins") {
  constexpr int threads = 8, rounds = 40;
  const TempDir dir;
  std::mutex mutex;
  std::map<State::Ticket, std::string> of_shared;
  std::vector<std::string> wrong;
  {
    State state(dir.path(), device_key());
    std::vector<std::thread> all;
    for (int i = 0; i < threads; ++i) {
      all.emplace_back([&, i] {
        for (int round = 0; round < rounds; ++round) {
          const auto name = std::to_string(i) + "/" + std::to_string(round);
          const auto ticket = state.stage({set(name, name), set("shared", name)});
          const auto seen = value_of(state, name);
          state.commit(ticket);
          const auto kept = value_of(state, name);
          const std::lock_guard lock(mutex);
          of_shared[ticket] = name;
          if (seen != name || kept != name) wrong.push_back(name);
        }
      });
    }
    for (auto& thread : all) thread.join();
    CHECK(state.staged_bytes() == 0);
  }
  CHECK(wrong.empty());
  CHECK(of_shared.size() == threads * rounds);
  State state(dir.path(), device_key());
  for (int i = 0; i < threads; ++i) {
    for (int round = 0; round < rounds; ++round) {
      const auto name = std::to_string(i) + "/" + std::to_string(round);
      CHECK(value_of(state, name) == name);
    }
  }
  CHECK(value_of(state, "shared") == of_shared.rbegin()->second);
}

TEST_CASE("a process killed while it writes loses nothing that it was told is kept") {
  const TempDir dir;
  std::uint64_t told = 0;
  for (const int kill_after : {1, 7, 50, 200}) {
    {
      Child child([&](int pipe) {
        State state(dir.path(), device_key());
        const auto write = [&](std::uint64_t from) {
          for (auto number = from;; number += 3) {
            const auto text = std::to_string(number);
            save(state, {set("left " + text, text), set("right " + text, text)});
            tell(pipe, number);
          }
        };
        std::thread second(write, told + 1), third(write, told + 2);
        write(told);
      });
      std::vector<std::uint64_t> kept;
      while (static_cast<int>(kept.size()) < kill_after) {
        const auto number = child.next();
        REQUIRE(number);
        kept.push_back(*number);
      }
      child.kill();
      while (const auto number = child.next()) kept.push_back(*number);

      State state(dir.path(), device_key());
      for (const auto number : kept) {
        const auto text = std::to_string(number);
        CHECK(value_of(state, "left " + text) == text);
        CHECK(value_of(state, "right " + text) == text);
        told = std::max(told, number + 1);
      }
    }
    // And no change is there by half.
    State state(dir.path(), device_key());
    std::size_t left = 0, right = 0;
    state.scan_keys(as_bytes("left "), [&](ByteView) { ++left; });
    state.scan_keys(as_bytes("right "), [&](ByteView) { ++right; });
    CHECK(left == right);
    told += 3;  // past what it was not told of
  }
}

TEST_CASE(
    "a power cut leaves what was synced, whatever else the disk had written of its own accord") {
  const auto seed = GENERATE(range(1U, 9U));
  CAPTURE(seed);
  std::mt19937 random(seed);
  const TempDir dir;
  const auto env = dir.path() / "state", data = env / "data.mdb", pages = env / "synced";
  const auto boot = dir.path() / "boot";
  std::ofstream(boot) << "first\n";
  ::setenv("NACRE_BOOT_ID", boot.c_str(), 1);
  struct Unset {
    ~Unset() { ::unsetenv("NACRE_BOOT_ID"); }
  } const unset;
  const auto text = [](std::uint64_t round, int key) {
    return std::string(static_cast<std::size_t>(200 + key * 700),
                       static_cast<char>('a' + round % 26)) +
           std::to_string(round);
  };
  constexpr int keys = 24;

  std::string durable, durable_pages;
  {
    Child child([&](int pipe) {
      State state(env, device_key());
      for (std::uint64_t round = 0;; ++round) {
        for (int key = 0; key < keys; ++key)
          save(state, {set("key " + std::to_string(key), text(round, key))});
        if (round <= 3) state.sync();
        if (round >= 3) tell(pipe, round);  // from here on nothing is synced
      }
    });
    REQUIRE(child.next() == 3);
    ::kill(child.pid(), SIGSTOP);
    durable = content_of(data);
    durable_pages = content_of(pages);
    ::kill(child.pid(), SIGCONT);
    for (std::uint64_t round = 4; round < 12; ++round) REQUIRE(child.next() == round);
    child.kill();
  }
  if (content_of(pages) != durable_pages) {
    WARN("skipped: the machine was so slow that it was synced once more");
    return;
  }
  // Each page as it was, or as it was to be.
  auto now = content_of(data);
  REQUIRE(now != durable);
  for (std::size_t at = 0; at < durable.size(); at += 4096) {
    if (random() % 2 == 0) now.replace(at, 4096, durable, at, 4096);
  }
  std::ofstream(data) << now;
  std::ofstream(boot) << "second\n";

  State state(env, device_key());
  for (int key = 0; key < keys; ++key) {
    const auto value = value_of(state, "key " + std::to_string(key));
    REQUIRE(value);
    CHECK(*value == text(3, key));
  }
  save(state, {set("after", "1")});
  CHECK(value_of(state, "after") == "1");
}

TEST_CASE("a file that has become mostly empty is made small at the next start") {
  const TempDir dir;
  const auto data = dir.path() / "state" / "data.mdb";
  const std::string big(std::size_t{1} << 20U, 'x');
  {
    State state(dir.path() / "state", device_key());
    for (int i = 0; i < 100; ++i) save(state, {set("big " + std::to_string(i), big)});
    for (int i = 1; i < 100; ++i) save(state, {gone("big " + std::to_string(i))});
    save(state, {set("small", "1")});
  }
  CHECK(std::filesystem::file_size(data) > 90'000'000);
  State state(dir.path() / "state", device_key());
  CHECK(std::filesystem::file_size(data) < 10'000'000);
  CHECK(value_of(state, "big 0") == big);
  CHECK_FALSE(value_of(state, "big 1"));
  CHECK(value_of(state, "small") == "1");
}

TEST_CASE("a snapshot shows what was committed before it, and nothing later") {
  const TempDir dir;
  State state(dir.path(), device_key());
  save(state, {set("a", "1"), set("b", "1")});
  const auto before = state.snapshot();
  save(state, {set("a", "2"), gone("b"), set("c", "2")});
  CHECK(before.get(as_bytes("a")) == bytes_of("1"));
  CHECK(before.get(as_bytes("b")) == bytes_of("1"));
  CHECK_FALSE(before.get(as_bytes("c")));
  Bytes head(1), rest(0);
  CHECK(before.get(as_bytes("a"), head, rest));
  CHECK(head == bytes_of("1"));
  CHECK_FALSE(before.get(as_bytes("a"), rest, rest));  // of another size
  CHECK_FALSE(before.get(as_bytes("c"), head, rest));
  std::size_t seen = 0;
  before.scan_keys({}, [&](ByteView) { ++seen; });
  CHECK(seen == 2);
  CHECK_FALSE(state.snapshot().get(as_bytes("b")));
}

TEST_CASE("a second process is told which one is there, and gets in when that is gone") {
  const TempDir dir;
  Child child([&](int pipe) {
    const State state(dir.path(), device_key());
    tell(pipe, 1);
    for (;;) ::pause();
  });
  REQUIRE(child.next());
  const auto [code, text] = failure([&] { State(dir.path(), device_key()); });
  CHECK(code == Errc::busy);
  CHECK(text.find("process " + std::to_string(child.pid())) != std::string::npos);
  child.kill();
  State state(dir.path(), device_key());
  save(state, {set("a", "1")});
}

TEST_CASE("one process cannot have a state twice either") {
  const TempDir dir;
  const State state(dir.path(), device_key());
  CHECK(failure([&] { State(dir.path(), device_key()); }).first == Errc::busy);
}

TEST_CASE("values that somebody swapped between their keys do not open") {
  const TempDir dir;
  {
    State state(dir.path(), device_key());
    save(state, {set("a", "of a"), set("b", "of b"), set("c", "of c")});
  }
  {
    Db db(dir.path(), std::size_t{1} << 30U);
    const auto values = db.table("values");
    auto txn = db.write();
    const auto a = txn.get(values, as_bytes("a")), b = txn.get(values, as_bytes("b"));
    REQUIRE((a && b));
    const Bytes of_a(a->begin(), a->end()), of_b(b->begin(), b->end());
    txn.put(values, as_bytes("a"), of_b);
    txn.put(values, as_bytes("b"), of_a);
    std::move(txn).commit();
  }
  State state(dir.path(), device_key());
  CHECK(failure([&] { state.get(as_bytes("a")); }).first == Errc::corrupt);
  CHECK(failure([&] { state.get(as_bytes("b")); }).first == Errc::corrupt);
  CHECK(failure([&] { state.scan({}, [](ByteView, ByteView) {}); }).first == Errc::corrupt);
  CHECK(value_of(state, "c") == "of c");
}

TEST_CASE("another device key opens nothing") {
  const TempDir dir;
  {
    State state(dir.path(), device_key());
    save(state, {set("a", "1")});
  }
  State state(dir.path(), SealKey(Secret::random(SealKey::size)));
  CHECK(failure([&] { state.get(as_bytes("a")); }).first == Errc::corrupt);
}

TEST_CASE("a state of another format is left alone") {
  const TempDir dir;
  { const State state(dir.path(), device_key()); }
  {
    Db db(dir.path(), std::size_t{1} << 30U);
    const auto about = db.table("about");
    auto txn = db.write();
    REQUIRE(txn.get(about, as_bytes("version")));
    txn.put(about, as_bytes("version"), as_bytes("999"));
    std::move(txn).commit();
  }
  const auto [code, text] = failure([&] { State(dir.path(), device_key()); });
  CHECK(code == Errc::unsupported);
  CHECK(text.find("999") != std::string::npos);
}

TEST_CASE("a scan visits what begins with the prefix, in order, and nothing else") {
  const TempDir dir;
  State state(dir.path(), device_key());
  save(state, {set("b2", "4"), set("a", "1"), set("b", "2"), set("b10", "3"), set("c", "5"),
               set("b\xff", "6"), gone("b2"), set("b3", "7")});
  std::vector<std::pair<std::string, std::string>> seen;
  state.scan(as_bytes("b"), [&](ByteView key, ByteView value) {
    seen.emplace_back(as_text(key), as_text(value));
  });
  CHECK(seen == std::vector<std::pair<std::string, std::string>>{
                    {"b", "2"}, {"b10", "3"}, {"b3", "7"}, {"b\xff", "6"}});
  std::vector<std::string> keys;
  state.scan_keys(as_bytes("b1"), [&](ByteView key) { keys.emplace_back(as_text(key)); });
  CHECK(keys == std::vector<std::string>{"b10"});
  keys.clear();
  state.scan_keys({}, [&](ByteView key) { keys.emplace_back(as_text(key)); });
  CHECK(keys == std::vector<std::string>{"a", "b", "b10", "b3", "b\xff", "c"});
  state.scan(as_bytes("d"), [&](ByteView, ByteView) { FAIL("nothing begins with d"); });
}

TEST_CASE("neither contents nor names are on the disk in clear") {
  const TempDir dir;
  const std::string content = "a content that must not show", name = "a name that must not show";
  {
    State state(dir.path(), device_key());
    const auto tag = state.tag(as_bytes(name));
    CHECK(state.tag(as_bytes(name)) == tag);
    CHECK(state.tag(as_bytes(content)) != tag);
    // In a page of the tree, and in pages of its own.
    std::string long_content;
    while (long_content.size() < 20000) long_content += content;
    save(state, {{Bytes(tag.begin(), tag.end()), bytes_of(name + content)},
                 {bytes_of("long"), bytes_of(long_content)}});
    state.sync();
    CHECK(state.get(tag) == bytes_of(name + content));
  }
  CHECK(on_disk(dir.path(), "long"));  // keys are in clear: the search does find
  CHECK_FALSE(on_disk(dir.path(), content));
  CHECK_FALSE(on_disk(dir.path(), name));
}

TEST_CASE("the state's folder and files are the user's only") {
  const TempDir dir;
  const auto folder = dir.path() / "state";
  const State state(folder, device_key());
  using std::filesystem::perms;
  const auto others = perms::group_all | perms::others_all;
  CHECK((std::filesystem::status(folder).permissions() & others) == perms::none);
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    CHECK((entry.status().permissions() & others) == perms::none);
}

TEST_CASE("a full disk keeps what was staged until there is room") {
  const TempDir dir;
  if (::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=40m,mode=0700") != 0) {
    WARN("skipped: no small disk can be mounted here: " << std::strerror(errno));
    return;
  }
  struct Unmount {
    const std::filesystem::path& path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } const unmount{dir.path()};

  const auto filler = dir.path() / "filler";
  const auto folder = dir.path() / "state";
  const std::string big(std::size_t{1} << 20U, 'x');
  {
    State state(folder, device_key());
    save(state, {set("before", "1")});
    std::ofstream(filler) << std::string(std::size_t{38} << 20U, 'f');
    const auto ticket = state.stage({set("during", big), gone("before")});
    CHECK(failure([&] { state.commit(ticket); }).first == Errc::full);
    CHECK(failure([&] { state.sync(); }).first == Errc::full);
    CHECK(value_of(state, "during") == big);
    CHECK_FALSE(value_of(state, "before"));
    CHECK(state.staged_bytes() >= big.size());
    const auto later = state.stage({set("later", "2")});
    CHECK(failure([&] { state.commit(later); }).first == Errc::full);
    std::filesystem::remove(filler);
    state.commit(later);
    CHECK(state.staged_bytes() == 0);
  }
  State state(folder, device_key());
  CHECK(value_of(state, "during") == big);
  CHECK(value_of(state, "later") == "2");
  CHECK_FALSE(value_of(state, "before"));
}

}  // namespace nacre::test
