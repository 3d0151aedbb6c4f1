// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "cli/doctor.hpp"
#include "unit/cli_home.hpp"

using namespace nacre;
using Verdict = Finding::Verdict;

TEST_CASE("a clock that is minutes off is a warning, in both directions", "[cli]") {
  CHECK(look_at_clock(1000, 1100).verdict == Verdict::ok);
  CHECK(look_at_clock(std::nullopt, 1100).verdict == Verdict::ok);
  const auto ahead = look_at_clock(1000, 1500);
  CHECK(ahead.verdict == Verdict::warn);
  CHECK(ahead.found == "this machine's is 500 s ahead of the server's");
  CHECK(look_at_clock(1500, 1000).found == "this machine's is 500 s behind the server's");
}

TEST_CASE("a server that is too old, or none, is a warning", "[cli]") {
  CHECK(look_at_version("11.0.12").verdict == Verdict::ok);
  CHECK(look_at_version("6.3.1").verdict == Verdict::warn);
  CHECK(look_at_version("").verdict == Verdict::warn);
}

TEST_CASE("little room on the disk is told before it hurts", "[cli]") {
  constexpr std::uint64_t gib = std::uint64_t{1} << 30U;
  CHECK(look_at_space("cache", 100 * gib, 1000 * gib).verdict == Verdict::ok);
  CHECK(look_at_space("cache", 10 * gib, 1000 * gib).verdict == Verdict::warn);
  CHECK(look_at_space("cache", gib / 100, gib).verdict == Verdict::fail);
}

TEST_CASE_METHOD(test::Home, "accounts without a token are listed as logged out", "[cli]") {
  CHECK(run({"accounts"}) == Exit::ok);
  CHECK(out.empty());
  CHECK(err.find("nacre login") != std::string::npos);
  CHECK(run({"accounts", "--json"}) == Exit::ok);
  CHECK(out == "[]\n");
}

TEST_CASE_METHOD(test::Home, "what lies in no mount is named, by every command on paths", "[cli]") {
  const auto verb = GENERATE("why", "pin", "unpin", "evict", "history", "du");
  CHECK(run({verb, dir.path().string()}) == Exit::failed);
  CHECK(err.find("not in a mount of nacre") != std::string::npos);
}
