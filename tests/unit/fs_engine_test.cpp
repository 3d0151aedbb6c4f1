// SPDX-License-Identifier: Apache-2.0
//
// The engine between a change and its confirmation: lost answers, killed daemons,
// files that are written on, files that are never closed, servers that go back.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "eventually.hpp"
#include "machine.hpp"

namespace nacre::test {
namespace {

using namespace std::chrono_literals;

void quick(MountPlan& plan) { plan.quiet_milliseconds = 50; }

// A server that does its work, and from which nothing is heard meanwhile.
class Silence {
 public:
  // While nobody asks it anything; it may come and go at any time afterwards.
  explicit Silence(Machine& machine) {
    machine.watch.published = [how = how_] {
      if (!how->loses_answers) return;
      how->silent = true;  // so that nobody finds out what became of it either
      throw Error(Errc::unreachable, "the answer was lost");
    };
    machine.watch.before = [how = how_](std::string_view member) {
      if (how->silent || (how->refuses && member == "publish"))
        throw Error(Errc::unreachable, "nobody answers");
    };
  }
  void lose_answers() { how_->loses_answers = true; }
  void refuse_publishing() { how_->refuses = true; }
  void end() { how_->loses_answers = how_->silent = how_->refuses = false; }

 private:
  struct How {
    std::atomic<bool> loses_answers = false, silent = false, refuses = false;
  };
  std::shared_ptr<How> how_ = std::make_shared<How>();  // the machine outlives us
};

void fails_to_sync(Machine& machine) {
  const auto reply = machine.fs().control({{"sync", "wait", "1"}, std::nullopt});
  REQUIRE(reply.status != 0);
}

}  // namespace

TEST_CASE("an answer that was lost makes no conflict, whatever is changed before the next try",
          "[engine]") {
  const char* password = GENERATE(static_cast<const char*>(nullptr), "opensesame");
  const bool killed = GENERATE(false, true);
  CAPTURE(password, killed);
  Cloud cloud(password);
  Machine here(cloud, "here", password), there(cloud, "there", password);
  Silence silence(here);
  here.write("kept", "base");
  here.write("goes", "base");
  here.write("moves", "base");
  here.mkdir("d");
  here.write("d/inner", "base");
  here.sync();
  there.sync();

  here.write("kept", "first");
  here.write("fresh", "first");
  here.write("goes", "first");
  here.write("moves", "first");
  here.write("d/inner", "first");
  here.unlink("goes");
  const auto head = cloud.head();
  silence.lose_answers();
  fails_to_sync(here);
  CHECK(cloud.head() != head);  // it has arrived
  if (killed) {
    here.crash();
    silence.end();
    here.mount();
  }
  here.write("kept", "second, longer");
  here.write("fresh", "second!");
  here.write("goes", "again");
  here.rename("moves", "d/moved");
  here.rename("d", "e");
  silence.end();
  SECTION("and nobody else did anything") {}
  SECTION("and somebody else did something") {
    there.write("other", "theirs");
    there.sync();
  }
  here.sync();
  there.sync();
  const auto tree = here.tree();
  CHECK(tree == there.tree());
  CHECK(conflict_copies(tree) == 0);
  CHECK(tree.at("kept") == "second, longer");
  CHECK(tree.at("fresh") == "second!");
  CHECK(tree.at("goes") == "again");
  CHECK(tree.at("e/moved") == "first");
  CHECK(tree.at("e/inner") == "first");
  CHECK_FALSE(tree.contains("moves"));
  const auto last = cloud.head();
  here.sync();
  CHECK(cloud.head() == last);  // there is nothing left to say
}

TEST_CASE("a batch that never arrived is sent again", "[engine]") {
  Cloud cloud;
  Machine here(cloud, "here"), there(cloud, "there");
  Silence silence(here);
  here.write("a", "1");
  silence.refuse_publishing();
  fails_to_sync(here);
  here.write("a", "2");
  silence.end();
  here.sync();
  there.sync();
  CHECK(there.tree() == FileTree{{"a", "2"}});
}

TEST_CASE("writing goes on while a batch is sent, and what was written then is sent after it",
          "[engine]") {
  Cloud cloud("opensesame");
  Machine here(cloud, "here", "opensesame"), there(cloud, "there", "opensesame");
  const std::string big(20'000'000, 'x');
  here.write("big", big);
  here.write("small", "1");
  const auto file = here.fs().open(here.walk("big"), O_WRONLY).handle;
  // In the middle of the sending, at its first block: two changes of what is being sent.
  std::atomic<bool> once = false;
  here.watch.before = [&](std::string_view member) {
    if (member != "put_block" || once.exchange(true)) return;
    here.fs().write(file, 10'000'000, as_bytes("changed"));
    here.fs().flush(file);
    here.write("small", "2");
  };
  here.sync();
  here.watch.before = {};
  REQUIRE(once);
  here.fs().release(file);
  here.sync();
  there.sync();
  auto expected = big;
  expected.replace(10'000'000, 7, "changed");
  const auto tree = there.tree();
  CHECK((tree.at("big") == expected));
  CHECK(tree.at("small") == "2");
  CHECK(conflict_copies(tree) == 0);
  CHECK(here.tree() == tree);
}

TEST_CASE("a file that is open for writing waits for its close", "[engine]") {
  Cloud cloud;
  Machine here(cloud, "here", nullptr, 64U << 20U, quick), there(cloud, "there");
  here.write("moved", "published");
  here.sync();
  const auto open = here.fs().create(root_ino, "open", 0644, O_WRONLY);
  here.fs().write(open.handle, 0, as_bytes("not yet"));
  const auto moving = here.fs().open(here.walk("moved"), O_WRONLY).handle;
  here.fs().write(moving, 0, as_bytes("PUB"));
  here.rename("moved", "elsewhere");
  here.write("closed", "1");
  REQUIRE(eventually([&] {
    there.sync();
    return there.exists("closed");
  }));
  // The name that moved is there, with what was published of it: never without anything.
  CHECK(there.tree() == FileTree{{"closed", "1"}, {"elsewhere", "published"}});
  here.fs().flush(open.handle);
  here.fs().release(open.handle);
  here.fs().flush(moving);
  here.fs().release(moving);
  REQUIRE(eventually([&] {
    there.sync();
    return there.exists("open") && there.read("elsewhere") == "PUBlished";
  }));
  CHECK(there.tree() == FileTree{{"closed", "1"}, {"elsewhere", "PUBlished"}, {"open", "not yet"}});
}

TEST_CASE("a file that is never closed is sent after a while, and again", "[engine]") {
  Cloud cloud;
  Machine here(cloud, "here", nullptr, 64U << 20U,
               [](MountPlan&plan) {
                 plan.quiet_milliseconds = 50;
                 plan.open_limit_seconds = 1;
               }),
      there(cloud, "there");
  const auto open = here.fs().create(root_ino, "log", 0644, O_WRONLY);
  std::string text;
  for (const auto* line : {"one\n", "two\n", "three\n"}) {
    here.fs().write(open.handle, text.size(), as_bytes(line));
    text += line;
    REQUIRE(eventually([&] {
      there.sync();
      return there.exists("log") && there.read("log") == text;
    }));
  }
  here.fs().release(open.handle);
}

TEST_CASE("fsync waits for the server where it was told to", "[engine]") {
  Cloud cloud;
  Machine here(cloud, "here", nullptr, 64U << 20U, [](MountPlan& plan) {
    plan.quiet_milliseconds = 3'600'000;
    plan.fsync_remote = true;
  });
  Machine there(cloud, "there");
  const auto open = here.fs().create(root_ino, "f", 0644, O_WRONLY);
  here.fs().write(open.handle, 0, as_bytes("important"));
  here.fs().fsync(open.handle);
  there.sync();
  CHECK(there.read("f") == "important");
  here.fs().release(open.handle);
}

TEST_CASE("temporary files that live shorter than the quiet time never reach the server",
          "[engine]") {
  constexpr auto quiet = 300ms;
  Cloud cloud;
  // Never quiet: batches are cut because the library has waited long enough.
  Machine here(cloud, "here", nullptr, 64U << 20U,
               [&](MountPlan& plan) { plan.quiet_milliseconds = quiet.count(); });
  std::set<std::string> seen, lived_long;
  Machine there(cloud, "there");
  const auto look = [&] {
    there.sync();
    for (const auto& [name, text] : there.tree()) seen.insert(name);
  };
  for (int i = 0; i < 100; ++i) {
    const auto temporary = ".temporary" + std::to_string(i);
    const auto begin = std::chrono::steady_clock::now();
    here.write(temporary, "draft " + std::to_string(i));
    std::this_thread::sleep_for(60ms);  // the library goes on being busy
    here.rename(temporary, "document");
    // On a machine that was busy with other things.
    if (std::chrono::steady_clock::now() - begin >= quiet) lived_long.insert(temporary);
    look();
  }
  CHECK(seen.contains("document"));  // batches were cut meanwhile
  here.sync();
  look();
  seen.erase("document");
  CHECK(std::ranges::includes(lived_long, seen));
  CHECK(there.read("document") == "draft 99");
}

TEST_CASE("a server that went back is not followed before somebody says so", "[engine]") {
  Cloud cloud;
  const auto storage = cloud.dir.path() / "storage", backup = cloud.dir.path() / "backup";
  Machine here(cloud, "here"), there(cloud, "there");
  here.write("old", "1");
  here.sync();
  std::filesystem::copy(storage, backup, std::filesystem::copy_options::recursive);
  const bool goes_on = GENERATE(false, true);
  here.write("since", "2");
  here.sync();
  std::filesystem::remove_all(storage);
  std::filesystem::rename(backup, storage);
  if (goes_on) {  // others already use it again
    there.write("theirs", "3");
    there.sync();
  }
  here.write("unsent", "4");
  const auto head = cloud.head();
  const auto reply = here.fs().control({{"sync", "wait", "20"}, std::nullopt});
  CHECK(reply.status == 1);
  CHECK(reply.text.find("older state") != std::string::npos);
  CHECK(reply.text.find("--accept-rollback") != std::string::npos);
  CHECK(cloud.head() == head);
  CHECK(here.read("since") == "2");
  CHECK(here.read("unsent") == "4");
  here.crash();
  here.mount();
  CHECK(here.fs().control({{"sync", "wait", "20"}, std::nullopt}).status == 1);
  CHECK(here.fs().control({{"sync", "accept-rollback", "20"}, std::nullopt}).status == 0);
  here.sync();
  there.sync();
  CHECK(here.tree() == there.tree());
  CHECK(here.exists("unsent"));
  CHECK(here.exists("theirs") == goes_on);
  CHECK_FALSE(here.exists("since"));
}

TEST_CASE("a head that merely has many commits since is followed", "[engine]") {
  Cloud cloud;
  Machine here(cloud, "here"), there(cloud, "there");
  here.write("a", "0");
  here.sync();
  there.sync();
  for (int i = 1; i < 30; ++i) {
    here.write("a", std::to_string(i));
    here.sync();
  }
  there.write("b", "mine");
  there.sync();
  CHECK(there.tree() == FileTree{{"a", "29"}, {"b", "mine"}});
}

}  // namespace nacre::test
