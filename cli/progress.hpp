// SPDX-License-Identifier: Apache-2.0
//
// Long work on the terminal: one line on standard error that is written over, with a bar,
// the rate and the time that is left.  Nothing of it where that is no terminal, nor before a
// second has passed, nor when the work is done.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <utility>

namespace nacre {

// How many a second, over the last few.
class Rate {
 public:
  using Clock = std::chrono::steady_clock;

  void add(std::uint64_t total, Clock::time_point now = Clock::now());
  [[nodiscard]] double per_second() const;
  // Until so many more have come; nullopt: nobody knows.
  [[nodiscard]] std::optional<std::chrono::seconds> until(std::uint64_t left) const;

 private:
  std::deque<std::pair<Clock::time_point, std::uint64_t>> seen_;
};

// "0:42", "1:02:03"
std::string time_left_text(std::chrono::seconds left);

// "[=====>    ]", so many characters with what encloses them.
std::string bar(std::uint64_t done, std::uint64_t total, std::size_t width);

// How far something is.
struct Amount {
  std::uint64_t done = 0;
  std::uint64_t total = 0;  // 0: nobody knows
  std::string unit = {};    // what is counted, its total an estimate; empty: bytes
};

// "3 of about 10 files, 1.5/s, 0:05 left", as far as it is known
std::string amount_text(const Amount& amount, const Rate& rate);

class Progress {
 public:
  Progress(std::ostream& err, std::string what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  [[nodiscard]] bool wanted() const noexcept { return terminal_; }

  void show(const Amount& amount);

 private:
  [[nodiscard]] std::string line(const Amount& amount, std::size_t width) const;

  std::ostream& err_;
  const std::string what_;
  const bool terminal_;
  const Rate::Clock::time_point began_ = Rate::Clock::now();
  Rate rate_;
  bool shown_ = false;
};

// Work that may take long: what it is called, and how far it is.
struct LongWork {
  std::string what = {};              // empty: nothing is shown of it
  std::function<Amount()> look = {};  // may throw; empty: only that it takes its time
};

// Shows it from a thread of its own while this lives.
class ShowWhile {
 public:
  ShowWhile(std::ostream& err, LongWork told);

 private:
  void look(const std::stop_token& stop);

  const LongWork told_;
  Progress progress_;
  std::jthread thread_;  // last: it ends before the line is taken away
};

// Does the work, which waits and prints nothing.
template <class Work>
auto with_progress(std::ostream& err, const LongWork& told, Work work) {
  std::optional<ShowWhile> shown;
  if (!told.what.empty()) shown.emplace(err, told);
  return work();
}

// with_progress() for one piece of work after the other, of which nobody knows how long it takes.
inline auto shown_as(std::ostream& err, const char* what) {
  return [&err, what](auto work) { return with_progress(err, {.what = what}, work); };
}

}  // namespace nacre
