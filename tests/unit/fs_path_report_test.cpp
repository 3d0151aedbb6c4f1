// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "fs/path_report.hpp"

using namespace nacre;
using namespace std::chrono_literals;
using Wait = PathFacts::Wait;

namespace {

PathFacts unsent_file(Wait wait) {
  PathFacts facts;
  facts.path = "d/file";
  facts.pending = {1, 2048};
  facts.since = 12s;
  facts.wait = wait;
  return facts;
}

}  // namespace

TEST_CASE("why says in one sentence what a change waits for, and what to do") {
  auto facts = unsent_file(Wait::quiet);
  facts.next = 2s;
  CHECK(why_text(facts) ==
        "d/file: waiting to be sent for 12 s (1 change, 2.0 KiB): the library was changed just "
        "now; it is sent in 2 s, or at once with `nacre sync`\n");

  facts = unsent_file(Wait::failed);
  facts.error = "account: the quota is used up; make room there";
  facts.next = 300s;
  CHECK(why_text(facts) ==
        "d/file: waiting to be sent for 12 s (1 change, 2.0 KiB): account: the quota is used up; "
        "make room there; next try in 5 min\n");

  facts = unsent_file(Wait::locked);
  facts.unlock = "nacre unlock /mnt 'lib'";
  CHECK(why_text(facts).ends_with("locked; unlock it with `nacre unlock /mnt 'lib'`\n"));

  facts = unsent_file(Wait::sending);
  facts.since = std::nullopt;
  CHECK(why_text(facts) == "d/file: being sent (1 change, 2.0 KiB)\n");

  facts = unsent_file(Wait::soon);
  facts.since = std::nullopt;
  facts.removed = true;
  facts.pending.bytes = 0;
  CHECK(why_text(facts) ==
        "d/file: removed here, and that is waiting to be sent since before it was mounted: it is "
        "sent in a moment\n");
}

TEST_CASE("why says how much of what is synced is here") {
  PathFacts facts;
  facts.path = "file";
  facts.parts = 12;
  const auto [here, text] = GENERATE(table<std::uint64_t, const char*>(
      {{12, "cached whole"}, {0, "not cached"}, {5, "5 of 12 blocks cached"}}));
  facts.parts_here = here;
  CHECK(why_text(facts) == "file: synced; " + std::string(text) + "\n");
  facts.pin = "folder";
  CHECK(why_text(facts).ends_with("; pinned by folder\n"));
}

TEST_CASE("why says of a folder what nobody has looked at, and where it stopped counting") {
  PathFacts facts;
  facts.path = "folder";
  facts.kind = PathFacts::Kind::folder;
  facts.parts = facts.parts_here = 3;
  CHECK(why_text(facts) == "folder: synced; cached whole, 3 files\n");
  facts.folders_not_known = 1;
  CHECK(why_text(facts) == "folder: synced; 3 of 3 files cached, 1 folder not looked at yet\n");
  facts.counted_all = false;
  CHECK(why_text(facts) ==
        "folder: synced; 3 of the first 3 files cached, 1 folder not looked at yet\n");
}
