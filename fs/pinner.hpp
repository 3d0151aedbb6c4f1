// SPDX-License-Identifier: Apache-2.0
//
// Keeps what is pinned on this machine: a pin is a path of a library, remembered in state.
// What is published there is fetched, checked to be whole, and stays in the cache; when the
// library changes, what is new is fetched.  What is unsent is on this machine anyway.
//
// Any thread may call any member.  The work is done by one thread, which start() starts.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "cache/object_cache.hpp"
#include "cache/state.hpp"
#include "fs/depot.hpp"
#include "fs/request_progress.hpp"
#include "fs/subtree.hpp"

namespace nacre {

struct PinStatus {
  LibraryId library;
  std::string path;  // in the library; empty: all of it
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;  // of the files
  std::uint64_t blocks = 0, blocks_here = 0;
  std::uint64_t block_cost = 0, object_cost = 0;  // of the caches, at most
  bool complete = false;
  std::string error;  // empty: none
  Errc code = Errc::internal;
};

class Pinner {
 public:
  struct Options {
    std::filesystem::path cache_dir;
    std::uint64_t block_limit, object_limit;  // of the caches, in bytes
    std::chrono::milliseconds patience;       // with a server that says nothing
  };
  // What it has to know of libraries.
  struct Libraries {
    std::function<ObjectId(const LibraryId&)> root;  // as published; may wait
    std::function<bool(const LibraryId&)> encrypted;
  };

  Pinner(Depot& depot, ObjectCache& objects, State& state, Libraries libraries, Options options);

  void load(const LibraryId& library);  // its pins, from state
  void start();
  void stop();
  void poke();  // a library has changed, or the server is back

  // Error{full} where it does not fit, with nothing changed; Error{not_found}.
  void pin(const LibraryId& library, const std::string& path, const Told& told = {});
  void unpin(const LibraryId& library, const std::string& path);  // Error{not_found}: not pinned

  std::vector<PinStatus> status();
  // The pin that keeps `path`: it, or a folder above.
  std::optional<std::string> pin_of(const LibraryId& library, std::string_view path);
  // Returns when it is complete, has failed, or has come on a little; at the latest after `most`.
  PinStatus wait(const LibraryId& library, const std::string& path, std::chrono::milliseconds most);

 private:
  using Pins = std::map<std::string, PinStatus>;  // by path
  struct Work;

  Work collect(const LibraryId& library, const std::string& path, const ObjectId& root,
               const Told& told = {});
  void check_room(const PinStatus& added);
  void run(const std::stop_token& stop);
  bool keep(const LibraryId& library, const std::stop_token& stop);
  bool keep_one(Work& work, const std::stop_token& stop);
  void fetch_objects(const Work& work);
  void fetch_blocks(Work& work, const std::stop_token& stop);
  void report(const PinStatus& status);

  Depot& depot_;
  ObjectCache& objects_;
  State& state_;
  const Libraries libraries_;
  const Options options_;

  std::mutex mutex_;  // guards all below
  std::condition_variable_any changed_;
  std::map<LibraryId, Pins> pins_;      // without pins: what it had has to be let go
  std::map<LibraryId, ObjectId> kept_;  // the roots whose pins are complete
  bool poked_ = true;
  std::jthread thread_;  // last: ends first
};

}  // namespace nacre
