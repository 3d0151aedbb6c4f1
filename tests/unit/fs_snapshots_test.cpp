// SPDX-License-Identifier: Apache-2.0
//
// Old trees of a library: how they are called, how far back they are fetched, and that
// nothing of them can be changed.
#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

#include "content_fixture.hpp"
#include "crypto/random.hpp"
#include "fs/errno.hpp"
#include "fs/snapshot_history.hpp"
#include "fs/snapshots.hpp"
#include "machine.hpp"

using namespace nacre;
using namespace nacre::test;

namespace {

constexpr std::int64_t start = 1'764'180'245;  // 2025-11-26_18.04.05

struct LongHistory : ContentFixture {
  LongHistory() {
    remote.before = [this](const char* member) {
      if (std::string_view(member) == "commit") ++asked;
    };
  }
  // Each commit so many seconds after the one before.
  void grow(std::size_t count, std::int64_t seconds) {
    for (std::size_t i = 0; i < count; ++i) {
      Commit made;
      made.id = random_id();
      made.library = library;
      made.root = random_id();
      made.ctime = now += seconds;
      if (!commits.empty()) made.parent = commits.back();
      remote.put_commit(made);
      commits.push_back(made.id);
    }
  }
  [[nodiscard]] const ObjectId& head() const { return commits.back(); }

  std::int64_t now = start - 10;
  std::vector<ObjectId> commits;  // the oldest first
  std::size_t asked = 0;          // for commits, of the server
};

std::vector<std::string> names_of(const std::map<SnapshotTime, Snapshot>& known) {
  std::vector<std::string> names;
  for (const auto& [time, snapshot] : known) names.push_back(time.name());
  return names;
}

}  // namespace

TEST_CASE("a snapshot is called by its time in UTC, and by nothing else", "[snapshots]") {
  CHECK(SnapshotTime{start, 1}.name() == "2025-11-26_18.04.05");
  CHECK(SnapshotTime{start, 2}.name() == "2025-11-26_18.04.05-2");
  CHECK(SnapshotTime{0, 1}.name() == "1970-01-01_00.00.00");
  const auto time = GENERATE(SnapshotTime{start, 1}, SnapshotTime{start, 12}, SnapshotTime{0, 1},
                             SnapshotTime{253'402'300'799, 1});
  CHECK(SnapshotTime::parse(time.name()) == time);
  const auto other =
      GENERATE(as<std::string>(), "", ".git", "2025-11-26", "2025-11-26_18.04.05-",
               "2025-11-26_18.04.05-1", "2025-11-26_18.04.05-0", "2025-11-26_18.04.05-02",
               "2025-11-26_18.04.05x2", "2025-11-26_18.04.65", "2025-02-30_18.04.05",
               "2025-11-26 18.04.05", "2025-11-26_18.04.05-99999999999", "+025-11-26_18.04.05");
  CHECK_FALSE(SnapshotTime::parse(other));
}

TEST_CASE_METHOD(LongHistory, "history is fetched in steps, and once", "[snapshots]") {
  grow(2 * SnapshotHistory::step + 50, 10);
  SnapshotHistory history(*depot, library);
  CHECK(history.look(head()).size() == SnapshotHistory::step);
  CHECK(asked <= SnapshotHistory::step + 1);
  CHECK(history.look(head()).size() == 2 * SnapshotHistory::step);
  CHECK(history.look(head()).size() == commits.size());
  CHECK(history.look(head()).size() == commits.size());
  CHECK(asked == commits.size());

  // What is new is there at once, and what was asked for is in the cache.
  grow(3, 10);
  CHECK(history.look(head()).size() == commits.size());
  CHECK(asked == commits.size());
  restart();
  SnapshotHistory again(*depot, library);
  CHECK(again.look(head()).size() == SnapshotHistory::step);
  CHECK(asked == commits.size());
}

TEST_CASE_METHOD(LongHistory, "an old snapshot is found by its name", "[snapshots]") {
  grow(2 * SnapshotHistory::step + 50, 10);
  SnapshotHistory history(*depot, library);
  const auto oldest = history.find(head(), {start, 1});
  REQUIRE(oldest);
  CHECK(oldest->commit == commits.front());
  CHECK_FALSE(history.find(head(), {start + 1, 1}));
  CHECK_FALSE(history.find(head(), {start - 1, 1}));
  CHECK(asked == commits.size());
}

TEST_CASE_METHOD(LongHistory, "commits of one second are numbered by age, for good",
                 "[snapshots]") {
  grow(1, 10);
  grow(2, 0);
  SnapshotHistory history(*depot, library);
  const std::vector<std::string> three = {"2025-11-26_18.04.05", "2025-11-26_18.04.05-2",
                                          "2025-11-26_18.04.05-3"};
  const auto known = history.look(head());
  CHECK(names_of(known) == three);
  CHECK(known.at({start, 2}).commit == commits[1]);
  grow(1, 0);
  const auto more = history.look(head());
  CHECK(more.size() == 4);
  CHECK(more.at({start, 2}).commit == commits[1]);
  CHECK(more.at({start, 4}).commit == commits[3]);
}

TEST_CASE_METHOD(LongHistory, "a step does not end within a second", "[snapshots]") {
  grow(5, 0);
  grow(1, 10);
  grow(SnapshotHistory::step, 0);
  SnapshotHistory history(*depot, library);
  CHECK(history.look(head()).size() == SnapshotHistory::step + 1);
  CHECK(history.find(head(), {now, 1})->commit == commits[5]);
}

TEST_CASE_METHOD(LongHistory, "what the server has forgotten ends the history", "[snapshots]") {
  grow(1, 10);
  commits.back() = random_id();  // nobody has that parent
  grow(4, 10);
  SnapshotHistory history(*depot, library);
  CHECK(history.look(head()).size() == 4);
  CHECK(history.look(head()).size() == 4);
  SnapshotHistory nothing(*depot, library);
  CHECK_THROWS_AS(nothing.look(random_id()), Error);  // an error, not an empty list
}

TEST_CASE_METHOD(LongHistory, "without a server, what is known is listed", "[snapshots]") {
  grow(SnapshotHistory::step + 50, 10);
  SnapshotHistory history(*depot, library);
  history.look(head());
  grow(1, 10);
  remote.before = [](const char*) { throw Error(Errc::unreachable, "cable pulled"); };
  CHECK(history.look(head()).size() == SnapshotHistory::step);
  SnapshotHistory other(*depot, library);
  CHECK_THROWS_AS(other.look(head()), Error);
}

namespace {

struct Past {
  Past() {
    machine.mkdir("d");
    machine.write("d/file", "first", 0755);
    machine.touch("d/file", 1'000'000'000);
    machine.sync();
    machine.write("d/file", "second");
    machine.unlink("d/file");
    machine.sync();
    snapshots = machine.walk(".snapshots");
  }

  static void with_snapshots(MountPlan& plan) { plan.snapshots = true; }
  // The one that has "d/file": there are those of the empty library and of the last tree too.
  std::string old() {
    const auto all = machine.fs().list(snapshots);
    for (const auto& entry : *all) {
      const auto path = ".snapshots/" + entry.name;
      if (machine.exists(path + "/d/file")) return path;
    }
    FAIL("no snapshot has the file");
    return {};
  }
  int errno_of(const std::function<void()>& work) {
    try {
      work();
      return 0;
    } catch (const Error& error) {
      return to_errno(error.code());
    }
  }

  Cloud cloud;
  Machine machine{cloud, "a", nullptr, std::uint64_t{64} << 20U, with_snapshots};
  Ino snapshots = 0;
};

}  // namespace

TEST_CASE_METHOD(Past, "an old tree is as it was", "[snapshots]") {
  const auto path = old();
  CHECK(machine.read(path + "/d/file") == "first");
  const auto st = machine.stat(path + "/d/file");
  CHECK((st.st_mode & 07777U) == 0755);
  CHECK(st.st_mtim.tv_sec == 1'000'000'000);
  CHECK(machine.fs().list(machine.walk(path + "/d"))->front().st.st_ino == st.st_ino);
  CHECK_FALSE(machine.exists("d/file"));
}

TEST_CASE_METHOD(Past, "snapshots are found by name only", "[snapshots]") {
  const auto top = machine.fs().list(root_ino);
  for (const auto& entry : *top) CHECK(entry.name != ".snapshots");
  CHECK_FALSE(machine.exists("d/.snapshots"));
  CHECK_FALSE(machine.exists(".snapshots/.snapshots"));
  CHECK(machine.fs().list(snapshots)->size() == 3);
}

TEST_CASE_METHOD(Past, "every change of an old tree is EROFS", "[snapshots]") {
  const auto path = old();
  auto& fs = machine.fs();
  const auto folder = machine.walk(path + "/d");
  const auto file = machine.walk(path + "/d/file");
  const auto before = machine.tree();
  SetAttr size, mode, mtime;
  size.size = 0;
  mode.mode = 0600;
  mtime.mtime = 1;
  const std::vector<std::function<void()>> changes = {
      [&] { fs.create(folder, "new", 0644, O_WRONLY); },
      [&] { fs.mkdir(folder, "new", 0755); },
      [&] { fs.mkdir(snapshots, "new", 0755); },
      [&] { fs.unlink(folder, "file"); },
      [&] { fs.rmdir(machine.walk(path), "d"); },
      [&] { fs.rmdir(root_ino, ".snapshots"); },
      [&] { fs.rename(folder, "file", folder, "other", 0); },
      [&] { fs.rename(folder, "file", root_ino, "file", 0); },
      [&] { fs.rename(root_ino, "d", folder, "d", 0); },
      [&] { fs.rename(root_ino, ".snapshots", root_ino, "mine", 0); },
      [&] { fs.rename(root_ino, "d", root_ino, ".snapshots", 0); },
      [&] { fs.open(file, O_WRONLY); },
      [&] { fs.open(file, O_RDWR); },
      [&] { fs.open(file, O_RDONLY | O_TRUNC); },
      [&] { fs.setattr(file, size); },
      [&] { fs.setattr(file, mode); },
      [&] { fs.setattr(folder, mtime); },
  };
  for (const auto& change : changes) CHECK(errno_of(change) == EROFS);
  CHECK(machine.tree() == before);
  CHECK(machine.read(path + "/d/file") == "first");
}

TEST_CASE_METHOD(Past, "inodes are of their own, and go when they are forgotten", "[snapshots]") {
  const auto path = old();
  const auto folder = machine.walk(path + "/d");
  const auto live = machine.walk("d");
  CHECK(folder != live);
  CHECK(machine.stat(path + "/d").st_ino != machine.stat("d").st_ino);
  machine.fs().open_directory(folder, ListingFor::names);
  const auto opened = machine.fs().open(machine.walk(path + "/d/file"), O_RDONLY);
  machine.forget();
  CHECK(machine.fs().getattr(folder).ino == folder);  // it is open
  CHECK(machine.read(opened) == "first");
  machine.fs().release(opened.handle);
  machine.fs().close_directory(folder);
  for (const auto ino : {snapshots, folder, opened.attr.ino})
    CHECK(errno_of([&] { machine.fs().getattr(ino); }) == ESTALE);
}

TEST_CASE_METHOD(Past, "a copy of an old file shares its blocks", "[snapshots]") {
  auto& fs = machine.fs();
  const auto from = fs.open(machine.walk(old() + "/d/file"), O_RDONLY);
  const auto to = fs.create(root_ino, "copy", 0644, O_WRONLY);
  CHECK(fs.copy_range(from.handle, 0, to.handle, 0, 1 << 20) == 5);
  fs.flush(to.handle);
  fs.release(to.handle);
  fs.release(from.handle);
  fs.forget(to.attr.ino, 1);
  machine.watch.reset();
  machine.sync();
  CHECK(machine.watch.put_blocks == 0);
  CHECK(machine.read("copy") == "first");
}

TEST_CASE_METHOD(Past, "a file of one's own called .snapshots comes first", "[snapshots]") {
  Machine other(cloud, "b");  // without the option it is a name as any other
  other.write(".snapshots", "mine");
  other.sync();
  machine.sync();
  CHECK(machine.read(".snapshots") == "mine");
  CHECK(machine.tree().at(".snapshots") == "mine");
  machine.unlink(".snapshots");
  CHECK(S_ISDIR(machine.stat(".snapshots").st_mode));
}
