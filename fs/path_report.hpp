// SPDX-License-Identifier: Apache-2.0
//
// What `nacre why` says of a file or folder: facts, and the sentence that they make.
// Pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "fs/batch.hpp"

namespace nacre {

struct PathFacts {
  enum class Kind { file, folder, library, mount };
  // What keeps a change from being sent, the strongest first.
  enum class Wait { none, locked, unconfirmed, failed, sending, away, open, quiet, soon };

  std::string path;  // as it was asked for
  Kind kind = Kind::file;
  std::string library;   // its name; of the mount's top: empty
  std::string unlock;    // the command that unlocks it; set where it is locked
  bool removed = false;  // here, and still there on the server
  bool shared_read_only = false;
  std::optional<std::string> id;  // as published

  // Unsent.
  Pending pending;
  std::optional<std::chrono::seconds> since;  // nullopt: since before the mount began
  Wait wait = Wait::none;
  std::string error;             // of the library or the connection
  std::chrono::seconds next{0};  // until it is sent, or tried again; 0: not known

  // Here: blocks of a file, files of a folder.
  std::uint64_t parts = 0, parts_here = 0;
  std::uint64_t folders_not_known = 0;  // nobody has looked at
  bool counted_all = true;              // else there are too many
  bool blocks_known = true;             // of a file
  std::string pin;                      // the path whose pin keeps it; empty: none
};

// "synced", "unsent", "sending", "locked" or "removed".
const char* state_of(const PathFacts& facts);
std::string why_text(const PathFacts& facts);  // one sentence
std::string why_json(const PathFacts& facts);

}  // namespace nacre
