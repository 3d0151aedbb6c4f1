// SPDX-License-Identifier: Apache-2.0
#include "fs/snapshot_history.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>

#include "base/error.hpp"

namespace nacre {
namespace {

constexpr std::size_t most = 4 * SnapshotHistory::step;  // also where all are of one second
constexpr std::int64_t last_second = 253'402'300'799;    // of the year 9999

std::optional<unsigned> number_in(std::string_view digits) {
  unsigned number = 0;
  const auto* end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, number);
  return error == std::errc() && at == end ? std::optional(number) : std::nullopt;
}

// What a server forgets, it forgets with all that was before.
bool is_forgotten(const Error& error) {
  return error.code() == Errc::not_found || error.code() == Errc::gone;
}

}  // namespace

std::string SnapshotTime::name() const {
  const auto when = static_cast<std::time_t>(std::clamp<std::int64_t>(seconds, 0, last_second));
  std::tm parts = {};
  ::gmtime_r(&when, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d_%H.%M.%S", &parts);
  return number == 1 ? text.data() : text.data() + ("-" + std::to_string(number));
}

std::optional<SnapshotTime> SnapshotTime::parse(std::string_view name) {
  constexpr std::string_view form = "2026-11-26_18.04.05";
  constexpr std::array<std::size_t, 6> begins = {0, 5, 8, 11, 14, 17};
  if (name.size() < form.size()) return std::nullopt;
  std::array<int, begins.size()> parts{};
  for (std::size_t i = 0; i < begins.size(); ++i) {
    const auto part = number_in(name.substr(begins[i], i == 0 ? 4 : 2));
    if (!part) return std::nullopt;
    parts[i] = static_cast<int>(*part);
  }
  std::tm when = {};
  when.tm_year = parts[0] - 1900;
  when.tm_mon = parts[1] - 1;
  when.tm_mday = parts[2];
  when.tm_hour = parts[3];
  when.tm_min = parts[4];
  when.tm_sec = parts[5];
  SnapshotTime time{::timegm(&when), 1};
  if (name.size() > form.size()) {
    const auto number = number_in(name.substr(form.size() + 1));
    if (!number || *number < 2) return std::nullopt;
    time.number = *number;
  }
  return time.name() == name ? std::optional(time) : std::nullopt;
}

// With `bounded`, as many as a step has and what else is of the last one's second, so that
// a second is numbered as a whole; else up to one that is known.
SnapshotHistory::Line SnapshotHistory::line_from(const ObjectId& from, bool bounded) {
  Line line{{}, from};
  const auto is_known = [&](const ObjectId& id) {
    return state_.with([&](const State& state) { return state.commits.contains(id); });
  };
  while (line.next && !is_known(*line.next)) {
    try {
      auto commit = depot_.commit(library_, *line.next);
      const auto count = bounded ? line.commits.size() : 0;
      if (count >= most || (count >= step && commit.ctime != line.commits.back().ctime)) break;
      line.next = commit.parent;
      line.commits.push_back(std::move(commit));
    } catch (const Error& error) {
      if (!is_forgotten(error)) throw;
      line.next.reset();
    }
  }
  return line;
}

void SnapshotHistory::add(State& state, const std::vector<Commit>& line) {
  for (auto commit = line.rbegin(); commit != line.rend(); ++commit) {
    if (!state.commits.insert(commit->id).second) continue;  // somebody else was faster
    SnapshotTime time{std::clamp<std::int64_t>(commit->ctime, 0, last_second), 1};
    while (state.known.contains(time)) ++time.number;
    state.known[time] = {commit->id, commit->root};
  }
}

void SnapshotHistory::follow(const ObjectId& head) {
  const bool first = state_.with([](const State& state) { return state.known.empty(); });
  auto line = line_from(head, first);
  if (first && line.commits.empty())
    throw Error(Errc::corrupt, "history: the server does not have its newest commit");
  state_.with([&](State& state) {
    if (first && state.known.empty()) state.next = line.next;
    add(state, line.commits);
  });
}

bool SnapshotHistory::go_back() {
  const auto from = state_.with([](const State& state) { return state.next; });
  if (!from) return false;
  const auto line = line_from(*from, true);
  state_.with([&](State& state) {
    add(state, line.commits);
    if (state.next == from) state.next = line.next;
  });
  return !line.commits.empty();
}

std::map<SnapshotTime, Snapshot> SnapshotHistory::look(const ObjectId& head) {
  const bool first = state_.with([](const State& state) { return state.known.empty(); });
  try {
    follow(head);
    if (!first) go_back();
  } catch (const Error& error) {
    if (first || error.code() != Errc::unreachable) throw;
  }
  return state_.with([](const State& state) { return state.known; });
}

std::optional<Snapshot> SnapshotHistory::find(const ObjectId& head, const SnapshotTime& time) {
  const auto known = [&] {
    return state_.with([&](const State& state) {
      const auto found = state.known.find(time);
      return found == state.known.end() ? std::nullopt : std::optional(found->second);
    });
  };
  const auto may_be_older = [&] {
    return state_.with([&](const State& state) { return time < state.known.begin()->first; });
  };
  if (auto found = known()) return found;
  follow(head);
  while (may_be_older() && go_back()) continue;
  return known();
}

}  // namespace nacre
