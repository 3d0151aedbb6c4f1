// SPDX-License-Identifier: Apache-2.0
//
// The heads that a library had on its server, as far back as somebody has looked.
// Where two lines of history were merged, the one is followed that the server was on.
//
// Any thread may call any member; all may wait for the remote.  A library's history is
// fetched in steps, each as long as a listing may take.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/guarded.hpp"
#include "fs/depot.hpp"

namespace nacre {

// When a commit was made, and which one of that second it is: 1 is the oldest.
struct SnapshotTime {
  std::int64_t seconds = 0;
  unsigned number = 1;

  // "2026-11-26_18.04.05", "2026-11-26_18.04.05-2"; in UTC, where no hour comes twice.
  [[nodiscard]] std::string name() const;
  // What name() would not give is nullopt.
  static std::optional<SnapshotTime> parse(std::string_view name);

  friend auto operator<=>(const SnapshotTime&, const SnapshotTime&) = default;
};

struct Snapshot {
  ObjectId commit, root;
};

class SnapshotHistory {
 public:
  static constexpr std::size_t step = 200;  // commits

  SnapshotHistory(Depot& depot, const LibraryId& library) : depot_(depot), library_(library) {}

  // All that are known, after what came since up to `head` and one more step back.  Where the
  // server does not answer: those that were known.
  std::map<SnapshotTime, Snapshot> look(const ObjectId& head);

  // Goes back as far as it takes.
  std::optional<Snapshot> find(const ObjectId& head, const SnapshotTime& time);

 private:
  struct State {
    std::map<SnapshotTime, Snapshot> known;
    std::unordered_set<ObjectId> commits;  // of these
    std::optional<ObjectId> next;          // to go back to
  };
  // Commits from `from` on back, the newest first, and where they go on.
  struct Line {
    std::vector<Commit> commits;
    std::optional<ObjectId> next;
  };

  void follow(const ObjectId& head);
  bool go_back();  // false: that was all
  Line line_from(const ObjectId& from, bool bounded);
  static void add(State& state, const std::vector<Commit>& line);

  Depot& depot_;
  const LibraryId library_;
  Guarded<State> state_;
};

}  // namespace nacre
