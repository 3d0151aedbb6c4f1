// SPDX-License-Identifier: Apache-2.0
//
// What long work and a mount's live view look like.
#include <catch2/catch.hpp>
#include <string>

#include "cli/progress.hpp"
#include "cli/terminal.hpp"
#include "cli/watch.hpp"

using namespace nacre;
using namespace std::chrono_literals;

TEST_CASE("a rate is of the last seconds, and tells what is left", "[progress]") {
  const auto start = Rate::Clock::time_point{};
  Rate rate;
  CHECK(rate.per_second() == 0);
  CHECK_FALSE(rate.until(100));
  for (int second = 0; second <= 20; ++second)
    rate.add(second < 10 ? 0 : static_cast<std::uint64_t>(second - 10) * 100,
             start + std::chrono::seconds(second));
  CHECK(rate.per_second() == 100);  // the idle time before is forgotten
  CHECK(rate.until(1000) == 10s);
  CHECK(rate.until(1) == 1s);
  rate.add(5, start + 21s);  // of another count
  CHECK(rate.per_second() == 0);
}

TEST_CASE("what is counted has its total as an estimate, and slow rates in tenths", "[progress]") {
  const auto start = Rate::Clock::time_point{};
  Rate rate;
  CHECK(amount_text({.done = 3, .total = 0, .unit = "commits"}, rate) == "3 commits");
  rate.add(0, start);
  rate.add(3, start + 2s);
  CHECK(amount_text({.done = 3, .total = 10, .unit = "files"}, rate) ==
        "3 of about 10 files, 1.5/s, 0:05 left");
  CHECK(amount_text({.done = 3, .total = 0, .unit = "commits"}, rate) == "3 commits, 1.5/s");
  rate.add(2048, start + 4s);
  CHECK(amount_text({.done = 2048, .total = 4096}, rate) ==
        "2.0 KiB of 4.0 KiB, 512 B/s, 0:04 left");
}

TEST_CASE("times and bars are as people read them", "[progress]") {
  CHECK(time_left_text(0s) == "0:00");
  CHECK(time_left_text(62s) == "1:02");
  CHECK(time_left_text(3723s) == "1:02:03");
  CHECK(time_left_text(10 * 24h) == "10 days");
  CHECK(bar(0, 100, 12) == "[>         ]");
  CHECK(bar(50, 100, 12) == "[=====>    ]");
  CHECK(bar(100, 100, 12) == "[==========]");
  CHECK(bar(200, 100, 12) == "[==========]");
  CHECK(bar(0, 0, 12) == "[>         ]");
  CHECK(bar(1, 2, 2).empty());
}

namespace {

MountStatus some_status() {
  MountStatus status;
  status.source = "https://sync.example.com/";
  status.mountpoint = "/home/me/Seafile";
  status.user = "me@example.com";
  status.cache_bytes = 1U << 30U;
  status.cache_limit = 10ULL << 30U;
  status.libraries = {
      {.id = "1",
       .name = std::string(200, 'n') + "\x1b[31m",
       .state = "error",
       .head = "0123456789abcdef",
       .error = "the account is full; delete something, or ask the administrator for more room "
                "than there is now",
       .pending_names = 3,
       .pending_bytes = 5U << 20U,
       .retry_seconds = 90},
      {.id = "2", .name = "Überraschung für später", .state = "synced", .writable = false}};
  status.pins = {{.library = "2", .path = "Reise", .files = 2, .bytes = 4096, .complete = true}};
  return status;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

}  // namespace

TEST_CASE("the view fits its terminal, and shows names as names", "[progress]") {
  const auto columns = GENERATE(std::size_t{20}, std::size_t{80}, std::size_t{200});
  const auto lines = view_of(some_status(), {1000, 2000, 75s}, {.columns = columns});
  for (const auto& line : lines) {
    CHECK(terminal::width(line) <= columns);
    CHECK(line.find('\x1b') == std::string::npos);
  }
}

TEST_CASE("the view tells what waits, why, for how long, and what to do", "[progress]") {
  const auto text = joined(view_of(some_status(), {0, 2048, 75s}, {.columns = 80}));
  for (const auto* words :
       {"server   connected, sending 2.0 KiB/s", "cache    1.0 GiB of 10.0 GiB  [=>",
        "queue    3 changes, 5.0 MiB, about 1:15 left", "error     01234567  3 changes, 5.0 MiB",
        "for more room\n", "next try in 1:30", "shared read only",
        "pinned Reise: 2 files, 4.0 KiB, all here"})
    CHECK_THAT(text, Catch::Contains(words));
}

TEST_CASE("a view without a server says so, and why", "[progress]") {
  auto status = some_status();
  status.connection_error = "no route to host; check the network";
  const auto text = joined(view_of(status, {}, {.columns = 80}));
  CHECK_THAT(text, Catch::Contains("server   away;"));
  CHECK_THAT(text, Catch::Contains("         no route to host; check the network\n"));
}

TEST_CASE("colours are there only where they are wanted", "[progress]") {
  CHECK(joined(view_of(some_status(), {}, {.colour = true})).find("\x1b[31merror\x1b[0m") !=
        std::string::npos);
  CHECK(joined(view_of(some_status(), {}, {.colour = false})).find('\x1b') == std::string::npos);
}
