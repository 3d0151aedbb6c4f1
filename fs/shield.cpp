// SPDX-License-Identifier: Apache-2.0
#include "fs/shield.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "base/fd.hpp"

namespace nacre {
namespace {

constexpr std::size_t longest_comm = 15;

// The beginning of a file of /proc, which waits for nobody; empty where there is none.
class ProcFile {
 public:
  ProcFile(pid_t who, const char* file) noexcept {
    std::array<char, 64> path{};
    std::snprintf(path.data(), path.size(), "/proc/%d/%s", who, file);
    const Fd fd(::open(path.data(), O_RDONLY | O_CLOEXEC));
    const auto size = fd.get() < 0 ? -1 : ::read(fd.get(), bytes_.data(), bytes_.size());
    if (size > 0) size_ = static_cast<std::size_t>(size);
  }
  [[nodiscard]] std::string_view text() const noexcept { return {bytes_.data(), size_}; }

 private:
  std::array<char, 512> bytes_{};
  std::size_t size_ = 0;
};

// The process of a thread; 0 where it is gone.
pid_t process_of(pid_t thread) noexcept {
  if (::syscall(SYS_tgkill, thread, thread, 0) == 0 || errno == EPERM) return thread;
  constexpr std::string_view key = "\nTgid:\t";
  const ProcFile file(thread, "status");
  const auto status = file.text();
  const auto at = status.find(key);
  pid_t process = 0;
  if (at != std::string_view::npos)
    std::from_chars(status.data() + at + key.size(), status.data() + status.size(), process);
  return process;
}

}  // namespace

std::vector<std::string> usual_shield() {
  return {"tracker-miner-fs-3",
          "tracker-miner-fs",
          "tracker-extract-3",
          "tracker-extract",
          "localsearch-3",
          "localsearch-extractor-3",
          "baloo_file",
          "baloo_file_extractor",
          "tumblerd",
          "ffmpegthumbnailer",
          "gnome-thumbnail-font",
          "evince-thumbnailer",
          "totem-video-thumbnailer",
          "gdk-pixbuf-thumbnailer",
          "gsf-office-thumbnailer",
          "recollindex",
          "updatedb",
          "updatedb.plocate",
          "updatedb.mlocate"};
}

Shield::Shield(const std::vector<std::string>& programs) {
  for (const auto& program : programs) names_.insert(program.substr(0, longest_comm));
}

bool Shield::calls(pid_t who) const noexcept {
  const ProcFile comm(who, "comm");
  const auto name = comm.text();
  return names_.contains(name.substr(0, name.find('\n')));
}

bool Shield::covers(pid_t thread) const noexcept {
  if (names_.empty() || thread <= 0) return false;
  if (calls(thread)) return true;
  const auto process = process_of(thread);
  return process > 0 && process != thread && calls(process);
}

}  // namespace nacre
