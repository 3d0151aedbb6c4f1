// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <ostream>

#include "cli/commands.hpp"
#include "cli/mounted_path.hpp"
#include "cli/mounts.hpp"

namespace nacre {
namespace {

constexpr std::chrono::minutes to_look{10};  // at a large folder for the first time
constexpr std::chrono::minutes to_answer{2};

ControlRequest request_of(const char* verb, const std::string& path) {
  return {.words = {verb, path}, .secret = std::nullopt};
}

// A line on the terminal that is written over and over.
class Progress {
 public:
  explicit Progress(std::ostream& out) : out_(out), terminal_(::isatty(STDERR_FILENO) == 1) {}
  ~Progress() {
    if (shown_) out_ << '\n';
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(const std::string& text) {
    if (!terminal_) return;
    out_ << "\r\x1b[K" << text << std::flush;
    shown_ = true;
  }

 private:
  std::ostream& out_;
  bool terminal_, shown_ = false;
};

Exit wait_until_here(const MountedPath& place, const std::string& path, const Io& io) {
  Progress progress(io.err);
  for (;;) {
    const auto reply =
        control_call(control_path(place.mountpoint), request_of("pinned", place.inside), to_answer);
    if (reply.status != 0) {
      io.err << "nacre: " << reply.text << '\n';
      return static_cast<Exit>(reply.status);
    }
    const auto line = reply.text.find('\n');
    progress.show(path + ": " + reply.text.substr(line + 1, reply.text.rfind('\n') - line - 1));
    if (reply.text.substr(0, line) == "complete") return Exit::ok;
  }
}

// Each path; the first that fails ends it.
template <class One>
Exit for_each(const std::vector<std::string>& paths, One one) {
  for (const auto& path : paths)
    if (const auto exit = one(path); exit != Exit::ok) return exit;
  return Exit::ok;
}

}  // namespace

Exit pin(const PinOptions& options, const Io& io) {
  return for_each(options.paths, [&](const std::string& path) {
    const auto place = find_mounted(path);
    const auto exit = ask_mount(place.mountpoint, request_of("pin", place.inside), to_look, io);
    return exit != Exit::ok || options.no_wait ? exit : wait_until_here(place, path, io);
  });
}

Exit unpin(const UnpinOptions& options, const Io& io) {
  return for_each(options.paths, [&](const std::string& path) {
    const auto place = find_mounted(path);
    return ask_mount(place.mountpoint, request_of("unpin", place.inside), to_answer, io);
  });
}

Exit evict(const EvictOptions& options, const Io& io) {
  return for_each(options.paths, [&](const std::string& path) {
    const auto place = find_mounted(path);
    return ask_mount(place.mountpoint, request_of("evict", place.inside), to_look, io);
  });
}

}  // namespace nacre
