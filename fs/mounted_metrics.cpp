// SPDX-License-Identifier: Apache-2.0
//
// The part of MountedFilesystem that tells its figures.  Libraries are told by their ids: who
// reads this is not to learn names.
#include "fs/metrics.hpp"
#include "fs/with_tree.hpp"

namespace nacre {
namespace {

struct LibraryFigures {
  std::string id;
  bool locked;
  SyncStatus sync;
};

struct Family {
  const char* name;
  MetricsText::Kind kind;
  const char *unit, *help;
  std::uint64_t (*value)(const LibraryFigures&);
};

constexpr auto gauge = MetricsText::Kind::gauge;
constexpr Family families[] = {
    {"nacre_library_unsent_changes", gauge, "", "Changes that are not on the server yet.",
     [](const LibraryFigures& l) -> std::uint64_t { return l.sync.pending.names; }},
    {"nacre_library_unsent_bytes", gauge, "bytes", "Contents that are not on the server yet.",
     [](const LibraryFigures& l) -> std::uint64_t { return l.sync.pending.bytes; }},
    {"nacre_library_sending", gauge, "", "Whether changes are being sent.",
     [](const LibraryFigures& l) -> std::uint64_t { return l.sync.sending; }},
    {"nacre_library_failing", gauge, "", "Whether the last attempt to send or follow failed.",
     [](const LibraryFigures& l) -> std::uint64_t { return !l.sync.error.empty(); }},
    {"nacre_library_retry_delay_seconds", gauge, "seconds", "Time until the next attempt.",
     [](const LibraryFigures& l) {
       return static_cast<std::uint64_t>(std::max<std::int64_t>(0, l.sync.retry_in.count()));
     }},
    {"nacre_library_locked", gauge, "", "Whether an encrypted library waits for its password.",
     [](const LibraryFigures& l) -> std::uint64_t { return l.locked; }},
    {"nacre_library_conflict_copies", MetricsText::Kind::counter, "",
     "Conflict copies made since the mount began.",
     [](const LibraryFigures& l) -> std::uint64_t { return l.sync.conflicts; }},
};

}  // namespace

std::string MountedFilesystem::metrics() {
  std::vector<LibraryFigures> libraries;
  for (auto* library : all_libraries())
    libraries.push_back(
        {library->id.str(), library->keys->locked(), sync_of(library->id).status()});

  MetricsText text;
  text.gauge("nacre_connected", "", "Whether the server answers.", remote_->away() ? 0 : 1);
  text.gauge("nacre_cache_bytes", "bytes", "Used of the cache.", blocks_.used());
  text.gauge("nacre_cache_limit_bytes", "bytes", "How large the cache may become.",
             plan_.cache_limit);
  text.gauge("nacre_pinned_bytes", "bytes", "Of the cache, what is pinned.", blocks_.pinned());
  text.counter("nacre_received_bytes", "bytes", "Contents fetched from the server.",
               remote_->received_bytes());
  text.counter("nacre_sent_bytes", "bytes", "Contents sent to the server.", remote_->sent_bytes());
  text.counter("nacre_shielded_reads", "",
               "Reads by thumbnailers and indexers for which nothing was fetched.", shielded_);
  for (const auto& family : families) {
    text.begin(family.name, family.kind, family.unit, family.help);
    for (const auto& library : libraries) text.sample(family.value(library), library.id);
  }
  return std::move(text).finish(NACRE_VERSION);
}

}  // namespace nacre
