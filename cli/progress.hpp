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

// Bytes a second over the last few.
class Rate {
 public:
  using Clock = std::chrono::steady_clock;

  void add(std::uint64_t total, Clock::time_point now = Clock::now());
  [[nodiscard]] std::uint64_t per_second() const;
  // Until so many more have come; nullopt: nobody knows.
  [[nodiscard]] std::optional<std::chrono::seconds> until(std::uint64_t left) const;

 private:
  std::deque<std::pair<Clock::time_point, std::uint64_t>> seen_;
};

// "0:42", "1:02:03"
std::string time_left_text(std::chrono::seconds left);

// "[=====>    ]", so many characters with what encloses them.
std::string bar(std::uint64_t done, std::uint64_t total, std::size_t width);

class Progress {
 public:
  Progress(std::ostream& err, std::string what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  [[nodiscard]] bool wanted() const noexcept { return terminal_; }

  // Total 0: what has come is known, and not how much there is.
  void show(std::uint64_t done, std::uint64_t total);

 private:
  [[nodiscard]] std::string line(std::uint64_t done, std::uint64_t total, std::size_t width) const;

  std::ostream& err_;
  const std::string what_;
  const bool terminal_;
  const Rate::Clock::time_point began_ = Rate::Clock::now();
  Rate rate_;
  bool shown_ = false;
};

struct Amount {
  std::uint64_t done = 0, total = 0;
};

// Work that may take long: what it is called, and how far it is.
struct LongWork {
  std::string what = {};                                   // empty: nothing is shown of it
  std::function<Amount()> look = [] { return Amount(); };  // may throw
};

// Until `stop` is requested.
void show_while(const std::stop_token& stop, Progress& progress,
                const std::function<Amount()>& look);

// Does the work, which waits and prints nothing, while a thread looks how far it is.
template <class Work>
auto with_progress(std::ostream& err, const LongWork& told, Work work) {
  if (told.what.empty()) return work();
  Progress progress(err, told.what);
  // It stops looking before the line is taken away.
  const std::jthread watcher([&](const std::stop_token& stop) {
    if (progress.wanted()) show_while(stop, progress, told.look);
  });
  return work();
}

}  // namespace nacre
