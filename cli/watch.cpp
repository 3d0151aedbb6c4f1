// SPDX-License-Identifier: Apache-2.0
#include "cli/watch.hpp"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <ostream>

#include "base/error.hpp"
#include "cli/blocked_signals.hpp"
#include "cli/folders.hpp"
#include "cli/terminal.hpp"
#include "fs/shown_text.hpp"
#include "fs/size_text.hpp"

namespace nacre {
namespace {

constexpr std::size_t label_width = 9;
constexpr std::chrono::seconds patience{5};

// One line, of which what does not fit is left out; colours take no room.
class Line {
 public:
  explicit Line(const ViewStyle& style) : style_(style) {}

  Line& text(std::string_view words, const char* colour = "") {
    const auto shown = terminal::cut(words, style_.columns - used_);
    used_ += terminal::width(shown);
    const bool coloured = style_.colour && *colour != '\0' && !shown.empty();
    if (coloured) line_ += colour;
    line_ += shown;
    if (coloured) line_ += "\x1b[0m";
    return *this;
  }
  // To the column, and past it by two where the words before are longer.
  Line& column(std::size_t at) { return text(std::string(at > used_ ? at - used_ : 2, ' ')); }
  std::string take() { return std::move(line_); }

 private:
  const ViewStyle& style_;
  std::string line_;
  std::size_t used_ = 0;
};

constexpr const char *red = "\x1b[31m", *green = "\x1b[32m", *yellow = "\x1b[33m",
                     *bold = "\x1b[1m", *plain = "";

const char* colour_of(const std::string& state) {
  if (state == "error") return red;
  if (state == "synced") return green;
  return state == "idle" ? plain : yellow;
}

class View {
 public:
  View(const MountStatus& status, const Traffic& traffic, const ViewStyle& style)
      : status_(status), traffic_(traffic), style_(style) {}

  std::vector<std::string> lines() {
    add(Line(style_).text(printable(status_.source) + " on " + printable(status_.mountpoint) +
                              ", as " + printable(status_.user),
                          bold));
    connection();
    cache();
    queue();
    lines_.emplace_back();
    add(Line(style_)
            .text("LIBRARY")
            .column(30)
            .text("STATE")
            .column(40)
            .text("HEAD")
            .column(50)
            .text("UNSENT"));
    for (const auto& each : status_.libraries) library(each);
    return std::move(lines_);
  }

 private:
  void add(Line& line) { lines_.push_back(line.take()); }
  Line labelled(const char* label) {
    Line line(style_);
    line.text(label).column(label_width);
    return line;
  }
  // Words that need more than one line, cut at spaces.
  void add_words(std::string_view words, std::size_t indent, const char* colour) {
    const auto room = style_.columns > indent + 10 ? style_.columns - indent : 10;
    while (!words.empty()) {
      auto part = terminal::cut(words, room);
      if (part.size() < words.size()) {
        if (const auto space = part.rfind(' '); space != std::string_view::npos && space > 0)
          part = part.substr(0, space);
      }
      add(Line(style_).text(std::string(indent, ' ')).text(part, colour));
      words.remove_prefix(part.size());
      while (words.starts_with(' ')) words.remove_prefix(1);
    }
  }

  void connection() {
    auto line = labelled("server");
    if (status_.connection_error.empty()) {
      line.text("connected", green);
      if (traffic_.received_per_second > 0)
        line.text(", receiving " + size_text(traffic_.received_per_second) + "/s");
      if (traffic_.sent_per_second > 0)
        line.text(", sending " + size_text(traffic_.sent_per_second) + "/s");
      add(line);
    } else {
      add(line.text("away; what is cached reads, and what is written is kept", red));
      add_words(printable(status_.connection_error), label_width, red);
    }
  }

  void cache() {
    auto line = labelled("cache");
    line.text(size_text(status_.cache_bytes) + " of " + size_text(status_.cache_limit) + "  " +
              bar(status_.cache_bytes, status_.cache_limit, 20));
    if (status_.pinned_bytes > 0) line.text("  " + size_text(status_.pinned_bytes) + " pinned");
    add(line);
    if (status_.shielded_reads > 0)
      add(labelled("shield").text("nothing was fetched for thumbnailers and indexers, " +
                                  counted(status_.shielded_reads, "time", "times")));
  }

  void queue() {
    auto line = labelled("queue");
    if (status_.pending_names() == 0) {
      line.text("empty: the server has everything");
    } else {
      line.text(counted(status_.pending_names(), "change", "changes") + ", " +
                    size_text(status_.pending_bytes()),
                yellow);
      if (traffic_.left) line.text(", about " + time_left_text(*traffic_.left) + " left");
    }
    add(line);
  }

  void library(const MountStatus::Library& library) {
    Line line(style_);
    line.text(terminal::cut(printable(library.name), 28)).column(30);
    line.text(library.state, colour_of(library.state)).column(40);
    line.text(library.head.empty() ? "-" : library.head.substr(0, 8)).column(50);
    if (library.pending_names == 0)
      line.text("-");
    else
      line.text(counted(library.pending_names, "change", "changes") + ", " +
                    size_text(library.pending_bytes),
                yellow);
    if (!library.writable) line.text("  shared read only");
    add(line);
    if (library.locked)
      add_words("unlock it with: nacre unlock " + printable(status_.mountpoint) + " '" +
                    printable(library.name) + "'",
                2, yellow);
    if (!library.error.empty()) {
      auto words = printable(library.error);
      if (library.retry_seconds > 0)
        words += "; next try in " + time_left_text(std::chrono::seconds(library.retry_seconds));
      add_words(words, 2, red);
    }
    if (library.conflicts > 0)
      add_words(counted(library.conflicts, "conflict copy", "conflict copies") + " made", 2,
                yellow);
    for (const auto& pin : status_.pins)
      if (pin.library == library.id) pinned(pin);
  }

  void pinned(const MountStatus::Pin& pin) {
    Line line(style_);
    line.text("  pinned " + (pin.path.empty() ? "whole" : printable(pin.path)) + ": " +
              counted(pin.files, "file", "files") + ", " + size_text(pin.bytes));
    if (pin.complete)
      line.text(", all here");
    else
      line.text("  " + bar(pin.blocks_here, pin.blocks, 20) + " " +
                std::to_string(pin.blocks_here) + " of " + counted(pin.blocks, "block", "blocks"));
    add(line);
    if (!pin.error.empty()) add_words(printable(pin.error), 4, red);
  }

  const MountStatus& status_;
  const Traffic& traffic_;
  const ViewStyle& style_;
  std::vector<std::string> lines_;
};

// The terminal's other screen, from which what was there before comes back.  Signals
// that end or stop the program are taken in turn instead of at once.
class Screen {
 public:
  explicit Screen(std::ostream& out) : out_(out) { enter(); }
  ~Screen() { leave(); }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  void show(std::vector<std::string> lines) {
    const auto rows = terminal::size(STDOUT_FILENO).rows;
    if (lines.size() >= rows) {
      const auto more = lines.size() - rows + 2;
      lines.resize(rows - 2);
      lines.push_back("and " + std::to_string(more) + " more lines");
    }
    std::string text = "\x1b[H";
    for (const auto& line : lines) text += line + "\x1b[K\r\n";
    out_ << text << "\x1b[J" << std::flush;
  }

  // Waits a moment.  False: it is time to end.
  bool wait() {
    const int signal = signals_.within(1);
    if (signal == SIGTSTP) {
      leave();
      ::raise(SIGSTOP);
      enter();
    }
    return signal == 0 || signal == SIGTSTP || signal == SIGWINCH;
  }

 private:
  // Lines that are too long, as wide characters make them, are cut by the terminal.
  void enter() { out_ << "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J" << std::flush; }
  void leave() { out_ << "\x1b[?7h\x1b[?25h\x1b[?1049l" << std::flush; }

  const BlockedSignals signals_{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
  std::ostream& out_;
};

class TrafficMeter {
 public:
  Traffic add(const MountStatus& status) {
    received_.add(status.received_bytes);
    sent_.add(status.sent_bytes);
    if (status.pending_bytes() != pending_) {  // a batch was begun, or has arrived
      pending_ = status.pending_bytes();
      sent_before_ = status.sent_bytes;
    }
    const auto sent = status.sent_bytes - std::min(status.sent_bytes, sent_before_);
    return {static_cast<std::uint64_t>(received_.per_second()),
            static_cast<std::uint64_t>(sent_.per_second()),
            sent_.until(pending_ - std::min(pending_, sent))};
  }

 private:
  Rate received_, sent_;
  std::uint64_t pending_ = 0, sent_before_ = 0;
};

}  // namespace

std::vector<std::string> view_of(const MountStatus& status, const Traffic& traffic,
                                 const ViewStyle& style) {
  return View(status, traffic, style).lines();
}

Exit watch(const std::string& mountpoint, const Io& io) {
  if (!terminal::is_one(STDOUT_FILENO))
    throw UsageError("status: --watch needs a terminal; scripts use --json or --metrics");
  const auto path = absolute_mountpoint(mountpoint);
  TrafficMeter meter;
  auto status = ask_status(path, patience);  // what fails at once is told on the screen as it is
  Screen screen(io.out);
  do {
    status = ask_status(path, patience);
    const auto traffic = meter.add(status);
    auto lines = view_of(status, traffic,
                         {.columns = terminal::size(STDOUT_FILENO).columns,
                          .colour = terminal::wants_colour(STDOUT_FILENO)});
    lines.emplace_back();
    lines.emplace_back("Ctrl-C ends");
    screen.show(std::move(lines));
  } while (screen.wait());
  return Exit::ok;
}

}  // namespace nacre
