// SPDX-License-Identifier: Apache-2.0
//
// What a server does wrong on purpose, by rules in a file: `nacre serve --faults`.
//
// A rule a line, and comments from '#' to the end of a line that begins with it:
//
//   METHOD PATH-REGEX ACTION [WHEN]
//
// METHOD is GET, PUT, POST, DELETE or *.  PATH-REGEX (ECMAScript, without blanks) is looked for
// in the request's path and query.  WHEN is "first N", "every N", "after N" of the requests that
// match, or nothing: always.  The first rule that applies is obeyed; a "delay" lets those after it
// apply as well.
//
//   reset          the connection is reset; the request is not carried out
//   hang SECONDS   no answer for so long, then as reset
//   delay MS       so much later
//   slow RATE      the body of the answer dribbles, so many bytes a second
//   truncate       the whole length is announced, half of it is sent
//   corrupt        one bit of the body is flipped
//   wrong-id       a valid commit, fs object or block, but another one; a head that nobody has
//   status NNN     the request is refused
//   lose-answer    the request is carried out, then the connection is reset
//   move-head      first somebody else's commit adds "moved N.txt" to the library
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "server/file_stamp.hpp"

namespace nacre {

struct Fault {
  enum class Action {
    reset,
    hang,
    delay,
    slow,
    truncate,
    corrupt,
    wrong_id,
    status,
    lose_answer,
    move_head,
  };
  Action action = Action::reset;
  std::uint32_t number = 0;  // of hang, delay, slow and status
};

// Any thread may call any member.
class Faults {
 public:
  // A file that is not there is one without rules.  Throws Error{invalid} "FILE:LINE: why".
  explicit Faults(std::filesystem::path file);

  // What is to go wrong with this request, in this order: delays, and at most one other.
  // Reads the file again if it changed, and begins to count anew; a file that is wrong by then is
  // logged, and the rules from before stay.
  std::vector<Fault> of(const std::string& method, const std::string& target);

  // False: stop() was called meanwhile.
  bool wait(std::chrono::milliseconds time);
  void stop() noexcept;  // ends every wait, those to come too

 private:
  struct Rule {
    std::string method;
    std::regex target;
    Fault fault;
    enum class When { always, first, every, after } when = When::always;
    std::uint32_t limit = 0;
    std::uint32_t seen = 0;  // requests that matched

    bool applies();  // to a request that matches
  };
  static Rule read_rule(const std::string& line);
  void read();

  const std::filesystem::path file_;
  std::mutex mutex_;  // guards all below
  std::condition_variable stopping_;
  std::optional<FileStamp> stamp_;
  std::vector<Rule> rules_;
  bool stopped_ = false;
};

}  // namespace nacre
