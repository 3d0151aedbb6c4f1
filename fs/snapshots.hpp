// SPDX-License-Identifier: Apache-2.0
//
// The trees under `.snapshots` at the top of each library: as they were published, read only.
// A node is in memory while the kernel knows it, or something below it is; nothing
// is fetched but what is looked at.
//
// Any thread may call any member.  Members with a SnapshotSource below may wait, and hold no
// lock then; they throw as Filesystem's do.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fs/ahead.hpp"
#include "fs/file_content.hpp"
#include "fs/filesystem.hpp"
#include "fs/key_holder.hpp"
#include "fs/open_file.hpp"
#include "fs/rebase.hpp"
#include "fs/shown.hpp"
#include "fs/snapshot_history.hpp"

namespace nacre {

// A library as far as its snapshots need it.
struct SnapshotLibrary {
  LibraryId id;
  std::shared_ptr<KeyHolder> keys;
  Ino top = 0;
  std::uint64_t top_st_ino = 0;
};

// What the live tree tells of its libraries.
class SnapshotSource {
 public:
  virtual ~SnapshotSource() = default;
  // The library whose top that is, if it is one.
  virtual std::optional<SnapshotLibrary> library_at(Ino ino) = 0;
  virtual ObjectId head_of(const LibraryId& library) = 0;  // that the mount shows; may wait
  virtual ContentStore& contents() = 0;
  virtual Ahead& ahead() = 0;
  // Error{denied} where this thread may have only what is here (fs/patience.hpp), and it is not.
  virtual void check_here(const LibraryId& library, const ObjectId& file) = 0;
};

class Snapshots {
 public:
  static constexpr std::string_view name = ".snapshots";

  Snapshots(SnapshotSource& source, const Shown& shown) : source_(source), shown_(shown) {}

  // Numbers that no node of the live tree has.
  static bool holds(Ino ino) noexcept { return (ino & mark) != 0; }

  Attr folder_of(const SnapshotLibrary& library);  // counted
  Attr lookup(Ino parent, std::string_view name);  // counted
  void forget(Ino ino, std::uint64_t lookups) noexcept;
  Attr getattr(Ino ino);
  OpenedDirectory open_directory(Ino ino);
  void close_directory(Ino ino) noexcept { closed(ino); }
  std::shared_ptr<const Listing> list(Ino ino);
  Opened open(Ino ino);
  void closed(Ino ino) noexcept;
  // Whether the kernel knows the folder of snapshots at that top.
  [[nodiscard]] bool has_folder(Ino top) const;
  // The commit that a snapshot's top stands for.
  std::optional<std::string> commit_of(Ino ino);

  // Of libraries that are locked now: forgets what was read with their keys.
  Notices drop_locked();

 private:
  static constexpr std::uint64_t mark = std::uint64_t{1} << 63U;

  struct Line {  // of snapshots: one library's
    Line(const SnapshotLibrary& its, Depot& depot) : library(its), history(depot, its.id) {}
    const SnapshotLibrary library;
    SnapshotHistory history;
  };
  struct Node {
    Ino ino = 0;
    std::uint64_t st_ino = 0;
    Node* parent = nullptr;  // null: the folder of all snapshots
    std::shared_ptr<Line> line;
    Dirent entry;
    ObjectId commit;  // of a snapshot's top
    std::uint64_t lookups = 0;
    std::uint32_t opens = 0;
    std::map<std::string, Node*, std::less<>> children;
    std::shared_ptr<FileContent> content;  // while it is open
  };
  // What is needed of a node without the lock.
  struct Place {
    std::shared_ptr<Line> line;
    Dirent entry;
    std::uint64_t st_ino = 0;
    bool is_folder = false;  // of all snapshots
  };

  Node& node(Ino ino);
  Place place(Ino ino);
  std::optional<Ahead::Way> way_to(const Node& node) const;
  std::optional<std::pair<Dirent, ObjectId>> find(const Place& parent, std::string_view name);
  std::vector<Dirent> entries_of(const Place& folder);
  Node& child(Node* parent, const std::shared_ptr<Line>& line, const Dirent& entry);
  void release_if_unused(Node& node) noexcept;
  [[nodiscard]] struct stat stat_of(const Dirent& entry, std::uint64_t st_ino) const;

  SnapshotSource& source_;
  const Shown shown_;

  mutable std::mutex mutex_;  // guards all below
  Ino next_ino_ = mark;
  std::unordered_map<Ino, std::unique_ptr<Node>> nodes_;
  std::map<LibraryId, std::shared_ptr<Line>> lines_;
  std::map<LibraryId, Node*> folders_;  // those in memory
};

}  // namespace nacre
