// SPDX-License-Identifier: Apache-2.0
//
// How commands reach a running mount: a Unix socket, 0600, in the user's runtime
// folder, one per mountpoint.  A request is a list of words and at most one
// secret; the reply an exit status (cli's contract) and a text to print.
//
// Wire, version 1, little endian: "NACR", u8 version, u32 count of words,
// each u32 length + bytes; u32 length + bytes of the secret (0: none).
// Reply: u8 status, u32 length + bytes.  At most 1 MiB each way.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "crypto/secret.hpp"

namespace nacre {

struct ControlRequest {
  // words[0] is the verb:
  //   status [json|metrics]; sync wait|nowait|accept-rollback SECONDS;
  //   sync confirm-deletes SECONDS [PATH]; unlock LIBRARY [accept-new-key]; lock [LIBRARY];
  //   umount SECONDS; sleep, wake: the machine is going to, or did;
  //   attention, whose answer has a line for each thing that needs a person: kind TAB library's
  //   id TAB text; the kind "away" says only that the server cannot be asked what has changed;
  //   library [LIBRARY], whose answer has its id, its name, the source and the user, a line each;
  //   rescue FOLDER text|json, whose answer begins with a line "complete" or "incomplete";
  //   why, privacy, du PATH text|json; pin, unpin, evict PATH; pinned PATH, whose answer may take a
  //   second and begins with a line "complete" or "fetching"; history PATH text|json COUNT
  //   [BEFORE]; restore PATH COMMIT [NEW].  A PATH is from the mount's top, names with slashes
  //   between.
  //   progress, whose answer is "DONE TOTAL UNIT" of the request that the same process waits for:
  //   TOTAL is an estimate, 0 where there is none; UNIT is empty where nothing is counted.
  std::vector<std::string> words;
  std::optional<Secret> secret;

  // Filled in by the server.
  pid_t caller = 0;           // the process that asks
  std::stop_token gone = {};  // requested: it has hung up
};

struct ControlReply {
  int status = 0;    // exit status for the command
  std::string text;  // to stdout when status is 0, else the error message to stderr
};

// The exit status that a failure has: 3 denied or wrong password, 4 unreachable, else 1.
int exit_status(Errc code) noexcept;

// Where the socket of `mountpoint` is: <runtime>/nacre/<16 hex of its path's hash>.sock.
// `runtime` is $XDG_RUNTIME_DIR, or a 0700 folder under /tmp named by uid.
std::filesystem::path control_path(const std::filesystem::path& mountpoint);

// Serves requests, each on a thread of its own (sync may wait long), until destroyed.
class ControlServer {
 public:
  using Handler = std::function<ControlReply(ControlRequest)>;  // may throw Error
  ControlServer(const std::filesystem::path& socket, Handler handler);
  ~ControlServer();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The process that listens there.  Throws Error{unreachable} where nothing does.
pid_t control_peer(const std::filesystem::path& socket);

// Throws Error{unreachable} where nothing listens, Error{interrupted} after `timeout`.
ControlReply control_call(const std::filesystem::path& socket, const ControlRequest& request,
                          std::chrono::seconds timeout);

}  // namespace nacre
