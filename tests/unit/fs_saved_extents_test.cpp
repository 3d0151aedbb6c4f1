// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <vector>

#include "fs/saved_extents.hpp"

using nacre::SavedExtents;

TEST_CASE("saved extents are those of a plain map, whatever is done to them", "[content]") {
  std::mt19937 random(GENERATE(range(1U, 9U)));
  const auto pick = [&](std::uint64_t n) { return random() % n; };
  SavedExtents saved;
  std::map<std::uint64_t, std::uint64_t> model;
  std::vector<std::uint64_t> visited;
  const auto visit = [&](std::uint64_t index) { visited.push_back(index); };
  for (int step = 0; step < 3000; ++step) {
    visited.clear();
    std::vector<std::uint64_t> gone;
    const auto index = pick(60);
    switch (pick(12)) {
      case 0:
        saved.erase(index);
        model.erase(index);
        break;
      case 1: {
        saved.erase_from(index, visit);
        for (auto it = model.lower_bound(index); it != model.end(); it = model.erase(it))
          gone.push_back(it->first);
        break;
      }
      case 2: {
        const auto version = pick(3);
        saved.erase_up_to_version(version, visit);
        for (auto it = model.begin(); it != model.end();) {
          if (it->second > version) {
            ++it;
            continue;
          }
          gone.push_back(it->first);
          it = model.erase(it);
        }
        break;
      }
      default: {
        const auto version = pick(5);
        saved.set(index, version);
        model[index] = version;
      }
    }
    REQUIRE(visited == gone);
    for (std::uint64_t i = 0; i < 62; ++i) REQUIRE(saved.contains(i) == model.contains(i));
  }
}

TEST_CASE("a file written from beginning to end is one run, whatever its size", "[content]") {
  SavedExtents saved;
  saved.set(0, 1);
  const auto one = saved.bytes();
  for (std::uint64_t index = 1; index < 160'000; ++index) saved.set(index, 1);
  CHECK(saved.bytes() == one);
  saved.set(80'000, 2);
  CHECK(saved.bytes() == 3 * one);
  saved.set(80'000, 1);
  CHECK(saved.bytes() == one);
}
