// SPDX-License-Identifier: Apache-2.0
//
// The brake: batches that would take much from the server wait for a person.
#include <atomic>

#include "machine.hpp"

using namespace nacre;
using namespace nacre::test;

namespace {

constexpr std::size_t most = 3;

class Braked {
 public:
  explicit Braked(const char* password = nullptr)
      : cloud(password),
        here(cloud, "here", password, std::uint64_t{64} << 20U,
             [](MountPlan& plan) { plan.max_deletions = most; }) {}

  void fill(const std::string& folder, int files) {
    here.mkdir(folder);
    for (int i = 0; i < files; ++i) here.write(path(folder, i), "content " + path(folder, i));
  }
  static std::string path(const std::string& folder, int i) {
    return folder + "/" + std::to_string(i);
  }
  void empty(const std::string& folder, int files) {
    for (int i = 0; i < files; ++i) here.unlink(path(folder, i));
    here.rmdir(folder);
  }
  ControlReply sync(const std::string& how = "wait", const char* seconds = "30") {
    return here.fs().control({{"sync", how, seconds}, std::nullopt});
  }
  // Until `answers`.
  void leave_unanswered(const char* asked) {
    answers = false;
    here.watch.before = [this, asked](std::string_view member) {
      if (!answers && member == asked) throw Error(Errc::unreachable, "server: no answer");
    };
  }
  bool parks() {
    const auto head = cloud.head();
    const auto reply = sync();
    const auto status = here.fs().control({{"status", "json"}, std::nullopt}).text;
    const bool parked = status.find("\"state\": \"parked\"") != std::string::npos;
    INFO(reply.text << status);
    CHECK((reply.status == 1) == parked);
    CHECK((reply.text.find("--confirm-deletes") != std::string::npos) == parked);
    CHECK((cloud.head() == head || !parked));
    return parked;
  }

  std::atomic<bool> answers = true;  // before `here`, which asks until its end
  Cloud cloud;
  Machine here;
};

}  // namespace

TEST_CASE("many deletions wait until they are confirmed, across a restart too", "[brake]") {
  const char* password = GENERATE(static_cast<const char*>(nullptr), "opensesame");
  Braked world(password);
  world.fill("few", 3);
  world.fill("many", 4);
  world.fill("more", 4);
  world.here.sync();
  world.empty("few", 3);
  CHECK_FALSE(world.parks());
  world.empty("many", 4);
  CHECK(world.parks());
  world.here.write("new", "waits as well");
  CHECK(world.parks());
  world.here.crash();
  world.here.mount();
  CHECK(world.parks());
  const auto why = world.here.fs().control({{"why", "many", "json"}, std::nullopt});
  CHECK(why.text.find("\"waits_for\": \"confirmation\"") != std::string::npos);
  CHECK(world.sync("confirm-deletes").status == 0);

  Machine there(world.cloud, "there", password);
  there.sync();
  CHECK(there.tree() == world.here.tree());
  // That was for this batch.
  CHECK(world.sync("confirm-deletes").status == 1);
  world.empty("more", 4);
  CHECK(world.parks());
}

TEST_CASE("what was not seen yet when it was confirmed is not confirmed", "[brake]") {
  Braked world;
  world.fill("many", 4);
  world.fill("more", 4);
  world.here.sync();
  world.empty("many", 4);
  CHECK(world.parks());
  world.empty("more", 4);
  const auto head = world.cloud.head();
  CHECK(world.sync("confirm-deletes").status == 1);
  CHECK(world.cloud.head() == head);
  CHECK(world.sync("confirm-deletes").status == 0);
  CHECK(world.here.tree().empty());
}

TEST_CASE("what is written after the word was given is not confirmed by it", "[brake]") {
  Braked world;
  world.fill("many", 4);
  world.fill("more", 4);
  world.here.sync();
  world.empty("many", 4);
  for (int i = 0; i < 4; ++i) world.here.chmod(Braked::path("more", i), 0755);
  CHECK(world.parks());
  world.leave_unanswered("check_upload");
  CHECK(world.sync("confirm-deletes", "1").status == 4);
  for (int i = 0; i < 4; ++i) world.here.write(Braked::path("more", i), "encrypted");
  world.answers = true;
  CHECK(world.parks());
}

TEST_CASE("files that are overwritten count as those that are deleted", "[brake]") {
  const bool same_size = GENERATE(false, true);
  Braked world;
  world.fill("many", 5);
  world.here.sync();
  const auto encrypt = [&](int i) {
    world.here.write(Braked::path("many", i),
                     same_size ? "CONTENT many/" + std::to_string(i) : "x" + std::to_string(i));
  };
  for (int i = 0; i < 3; ++i) encrypt(i);
  CHECK_FALSE(world.parks());
  for (int i = 0; i < 2; ++i) world.here.unlink(Braked::path("many", i));
  for (int i = 2; i < 5; ++i) encrypt(i);
  world.here.rename("many/4", "many/4.locked");
  CHECK(world.parks());
}

TEST_CASE("what was deleted and is brought back goes on by itself", "[brake]") {
  const char* password = GENERATE(static_cast<const char*>(nullptr), "opensesame");
  Braked world(password);
  world.fill("many", 5);
  world.here.sync();
  const auto before = world.here.tree();
  const auto head = world.cloud.head();
  world.empty("many", 5);
  CHECK(world.parks());
  SECTION("by writing") {
    world.here.mkdir("many");
    for (int i = 0; i < 4; ++i) world.here.write(Braked::path("many", i), "not what it was");
    CHECK(world.parks());
    for (int i = 0; i < 4; ++i) world.here.write(Braked::path("many", i), "lengths many/0");
    CHECK(world.parks());
    for (int i = 0; i < 5; ++i)
      world.here.write(Braked::path("many", i), "content " + Braked::path("many", i));
  }
  SECTION("from its history") {
    const auto reply = world.here.fs().control({{"restore", "many", head.hex(), ""}, std::nullopt});
    INFO(reply.text);
    REQUIRE(reply.status == 0);
  }
  CHECK_FALSE(world.parks());
  CHECK(world.here.tree() == before);
}

TEST_CASE("what is moved is not deleted, and a save that keeps a copy overwrites nothing",
          "[brake]") {
  Braked world;
  world.fill("many", 9);
  world.here.mkdir("empties");
  for (int i = 0; i < 9; ++i) world.here.write(Braked::path("empties", i), "");
  world.here.mkdir("up");
  world.here.sync();
  world.here.rename("many", "up/moved");
  CHECK_FALSE(world.parks());
  world.here.mkdir("sorted");
  for (int i = 0; i < 9; ++i) {
    world.here.rename(Braked::path("up/moved", i), Braked::path("sorted", i));
    world.here.rename(Braked::path("empties", i), Braked::path("sorted", 100 + i));
  }
  world.here.rmdir("up/moved");
  CHECK_FALSE(world.parks());
  for (int i = 0; i < 9; ++i) {
    const auto path = Braked::path("sorted", i);
    world.here.rename(path, path + "~");
    world.here.write(path, "saved");
    world.here.chmod(path, 0755);
  }
  CHECK_FALSE(world.parks());
  for (int i = 0; i < 9; ++i) world.here.touch(Braked::path("sorted", i), 1'000'000);
  CHECK_FALSE(world.parks());
}

TEST_CASE("a deleted folder counts as all files in it, and waits while nobody can say how many",
          "[brake]") {
  Braked world;
  world.here.mkdir("up");
  world.fill("up/many", 3);
  world.fill("up/more", 3);
  world.here.sync();
  world.empty("up/many", 3);
  world.empty("up/more", 3);
  world.here.rmdir("up");
  world.here.crash();
  std::filesystem::remove_all(world.cloud.dir.path() / "here/cache");
  world.here.mount();
  world.leave_unanswered("objects");
  const auto head = world.cloud.head();
  CHECK(world.sync("wait", "1").status == 4);
  CHECK(world.cloud.head() == head);
  world.answers = true;
  CHECK(world.parks());
}

TEST_CASE("the brake can be off", "[brake]") {
  Cloud cloud;
  Machine here(cloud, "here", nullptr, std::uint64_t{64} << 20U,
               [](MountPlan& plan) { plan.max_deletions = 0; });
  for (int i = 0; i < 600; ++i) here.write(std::to_string(i), "x");
  here.sync();
  for (int i = 0; i < 600; ++i) here.unlink(std::to_string(i));
  here.sync();
  CHECK(here.tree().empty());
}
