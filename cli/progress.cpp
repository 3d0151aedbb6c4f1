// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <mutex>

#include "cli/terminal.hpp"
#include "fs/size_text.hpp"

namespace nacre {
namespace {

using namespace std::chrono_literals;

constexpr auto window = 5s;  // that a rate is of
constexpr auto before_showing = 1s;
constexpr auto between = 500ms;

std::string few(double number) {
  const auto tenths = std::llround(number * 10);
  if (tenths >= 100) return std::to_string(tenths / 10);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
}

std::string two(std::int64_t number) { return (number < 10 ? "0" : "") + std::to_string(number); }

}  // namespace

void Rate::add(std::uint64_t total, Clock::time_point now) {
  if (!seen_.empty() && total < seen_.back().second) seen_.clear();  // another count has begun
  seen_.emplace_back(now, total);
  while (seen_.size() > 2 && now - seen_.front().first > window) seen_.pop_front();
}

double Rate::per_second() const {
  if (seen_.size() < 2) return 0;
  const std::chrono::duration<double> time = seen_.back().first - seen_.front().first;
  if (time.count() <= 0) return 0;
  return static_cast<double>(seen_.back().second - seen_.front().second) / time.count();
}

std::optional<std::chrono::seconds> Rate::until(std::uint64_t left) const {
  const auto rate = per_second();
  if (rate <= 0) return std::nullopt;
  constexpr double most = 1e9;
  const auto seconds = std::ceil(std::min(most, static_cast<double>(left) / rate));
  return std::chrono::seconds(static_cast<std::int64_t>(seconds));
}

std::string time_left_text(std::chrono::seconds left) {
  const auto seconds = left.count();
  if (seconds >= 100 * 3600) return std::to_string(seconds / 86400) + " days";
  const auto minutes = seconds / 60;
  const auto of_hour = seconds < 3600 ? std::to_string(minutes)
                                      : std::to_string(minutes / 60) + ":" + two(minutes % 60);
  return of_hour + ":" + two(seconds % 60);
}

std::string bar(std::uint64_t done, std::uint64_t total, std::size_t width) {
  if (width < 3) return {};
  const auto inside = width - 2;
  const auto part =
      total == 0 ? 0.0 : static_cast<double>(std::min(done, total)) / static_cast<double>(total);
  const auto full = static_cast<std::size_t>(part * static_cast<double>(inside));
  std::string text(full, '=');
  if (full < inside) text += '>';
  text.resize(inside, ' ');
  return "[" + text + "]";
}

Progress::Progress(std::ostream& err, std::string what)
    : err_(err), what_(std::move(what)), terminal_(terminal::is_one(STDERR_FILENO)) {}

Progress::~Progress() {
  if (shown_) err_ << "\r\x1b[K" << std::flush;
}

std::string amount_text(const Amount& amount, const Rate& rate) {
  const auto& [done, total, unit] = amount;
  const bool bytes = unit.empty();
  auto text = bytes ? size_text(done) : std::to_string(done);
  if (total > 0) text += bytes ? " of " + size_text(total) : " of about " + std::to_string(total);
  if (!bytes) text += " " + unit;
  if (const auto speed = rate.per_second(); speed > 0)
    text += ", " + (bytes ? size_text(static_cast<std::uint64_t>(speed)) : few(speed)) + "/s";
  const auto left = total > done ? rate.until(total - done) : std::nullopt;
  if (left) text += ", " + time_left_text(*left) + " left";
  return text;
}

std::string Progress::line(const Amount& amount, std::size_t width) const {
  const auto done = amount.done, total = amount.total;
  auto text = done > 0 || total > 0 ? amount_text(amount, rate_) : std::string();
  if (total == 0) {
    const auto time = std::chrono::duration_cast<std::chrono::seconds>(Rate::Clock::now() - began_);
    text = time_left_text(time) + (done > 0 ? "  " + text : "");
  }
  auto before = what_ + "  ";
  const auto used = terminal::width(before) + terminal::width(text) + 2;
  constexpr std::size_t longest_bar = 30;
  if (total > 0 && used + 5 < width)
    before += bar(done, total, std::min(longest_bar, width - used - 1)) + "  ";
  return before + text;
}

void Progress::show(const Amount& amount) {
  rate_.add(amount.done);
  if (!terminal_ || Rate::Clock::now() - began_ < before_showing) return;
  const auto width = terminal::size(STDERR_FILENO).columns - 1;
  auto shown = amount;
  if (shown.total > 0) shown.done = std::min(shown.done, shown.total);
  const auto text = line(shown, width);
  err_ << '\r' << terminal::cut(text, width) << "\x1b[K" << std::flush;
  shown_ = true;
}

ShowWhile::ShowWhile(std::ostream& err, LongWork told)
    : told_(std::move(told)), progress_(err, told_.what) {
  if (progress_.wanted())
    thread_ = std::jthread([this](const std::stop_token& stop) { look(stop); });
}

void ShowWhile::look(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  while (!never.wait_for(lock, stop, between, [] { return false; }) && !stop.stop_requested()) {
    Amount amount;
    try {
      if (told_.look) amount = told_.look();
    } catch (const std::exception&) {
      // The work itself will say what is wrong.
    }
    if (!stop.stop_requested()) progress_.show(amount);
  }
}

}  // namespace nacre
