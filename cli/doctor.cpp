// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <ostream>
#include <sstream>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "base/json.hpp"
#include "base/waiting.hpp"
#include "cli/accounts.hpp"
#include "cli/commands.hpp"
#include "cli/folders.hpp"
#include "cli/keyring.hpp"
#include "cli/progress.hpp"
#include "fs/control.hpp"
#include "fs/mountpoint.hpp"
#include "fs/size_text.hpp"

namespace nacre {
namespace {

namespace stdfs = std::filesystem;
using Verdict = Finding::Verdict;
using Findings = std::vector<Finding>;

constexpr std::chrono::seconds mount_patience{5}, server_patience{20};

const char* word_of(Verdict verdict) {
  return verdict == Verdict::ok ? "ok" : verdict == Verdict::warn ? "warn" : "fail";
}

// --- this machine ---

Finding look_at_device() {
  const Fd fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (fuse.get() >= 0) return {Verdict::ok, "fuse device", "/dev/fuse can be opened", {}};
  const bool there = errno != ENOENT && errno != ENODEV;
  return {Verdict::fail, "fuse device",
          std::string("/dev/fuse ") + (there ? "is not for you" : "is missing"),
          there ? "have /dev/fuse opened to you (mode 0666 is usual)"
                : "load the module: modprobe fuse; in a container, pass the device in"};
}

Finding look_at_helper() {
  const char* set = std::getenv("PATH");
  std::istringstream folders(set == nullptr ? "/usr/bin:/bin" : set);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const auto path = stdfs::path(folder) / "fusermount3";
    struct stat st = {};
    if (::stat(path.c_str(), &st) != 0 || (st.st_mode & 0111U) == 0) continue;
    if (::geteuid() != 0 && (st.st_mode & S_ISUID) == 0)
      return {Verdict::fail, "fusermount3", path.string() + " is not set-uid root",
              "reinstall the package fuse3"};
    return {Verdict::ok, "fusermount3", path.string(), {}};
  }
  return {::geteuid() == 0 ? Verdict::warn : Verdict::fail, "fusermount3", "not found in PATH",
          "install the package fuse3"};
}

Finding look_at_allow_other() {
  const auto text = read_text_file("/etc/fuse.conf").value_or("");
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.substr(0, line.find_last_not_of(" \t\r") + 1) == "user_allow_other")
      return {Verdict::ok, "user_allow_other", "set in /etc/fuse.conf", {}};
  }
  return {Verdict::ok,
          "user_allow_other",
          "not set in /etc/fuse.conf: `-o allow_other` is for root only",
          {}};
}

Finding look_at_keyring() {
  const auto why = keyring::why_not();
  if (why.empty())
    return {Verdict::ok, "keyring", "tokens and device keys of new accounts are kept there", {}};
  return {Verdict::ok,
          "keyring",
          "none (" + why + "): tokens and device keys are in files that only you can read",
          {}};
}

void look_at_folders(Findings& all) {
  for (const auto& [what, path] :
       {std::pair("cache folder", cache_folder()), std::pair("state folder", state_folder())}) {
    auto there = path;
    std::error_code error;
    while (!stdfs::exists(there, error) && there.has_relative_path()) there = there.parent_path();
    const auto space = stdfs::space(there, error);
    if (error || ::access(there.c_str(), W_OK) != 0)
      all.push_back({Verdict::fail, what, there.string() + " cannot be written to",
                     "check the folder and its owner"});
    else
      all.push_back(
          look_at_space(std::string(what) + " " + path.string(), space.available, space.capacity));
  }
}

// Nullopt: it does not answer.  A thread of its own asks, as it may never come back.
std::optional<bool> ask_whether_dead(const stdfs::path& mountpoint) {
  auto answer = std::make_shared<std::promise<bool>>();
  auto answered = answer->get_future();
  std::thread([answer, mountpoint] {
    answer->set_value(has_lost_its_daemon(mountpoint));
  }).detach();
  if (answered.wait_for(mount_patience) != std::future_status::ready) return std::nullopt;
  return answered.get();
}

Finding look_at_mount(const stdfs::path& mountpoint) {
  const auto what = "mount " + mountpoint.string();
  const auto clear = "clear it away: fusermount3 -u -z " + mountpoint.string();
  try {
    const auto reply =
        control_call(control_path(mountpoint),
                     {.words = {"status", "json"}, .secret = std::nullopt}, mount_patience);
    if (reply.status == 0) return {Verdict::ok, what, "its daemon answers", {}};
    return {Verdict::fail, what, reply.text, "see its log"};
  } catch (const Error&) {
    const auto dead = ask_whether_dead(mountpoint);
    if (dead && !*dead)
      return {Verdict::warn, what, "files answer, commands do not",
              "was it mounted with another XDG_RUNTIME_DIR?"};
    return {Verdict::fail, what, dead ? "its daemon has died" : "its daemon hangs", clear};
  }
}

// --- an account ---

Finding look_at_address(const Account& account, const std::string& what) {
  const auto& server = account.server;
  if (server.url.starts_with("https://")) return {Verdict::ok, what + "TLS", "on", {}};
  const auto host = url_host(server.url);
  if (host == "localhost" || host == "::1" || host.starts_with("127."))
    return {Verdict::ok, what + "TLS", "off, to this machine itself", {}};
  return {Verdict::warn, what + "TLS", "off: everybody on the way can read and change everything",
          "log in with the https:// address of the server"};
}

Finding look_at_token(const Account& account, const std::string& what) {
  const auto libraries = open_account(account, false)->libraries().size();
  return {Verdict::ok,
          what + "token",
          "accepted, " + std::to_string(libraries) + (libraries == 1 ? " library" : " libraries"),
          {}};
}

void look_at_account(const Account& account, Findings& all) {
  const auto what = account.alias + ": ";
  all.push_back(look_at_address(account, what));
  const WaitAs bounded(Waiting::at_most(server_patience));
  try {
    const auto facts = ask_server(account.server);
    all.push_back({Verdict::ok, what + "server", account.server.url + " answers", {}});
    auto version = look_at_version(facts.version);
    auto clock = look_at_clock(facts.time, std::time(nullptr));
    for (auto* finding : {&version, &clock}) {
      finding->what = what + finding->what;
      all.push_back(*finding);
    }
  } catch (const Error& error) {
    all.push_back({Verdict::fail, what + "server", error.what(), {}});
    return;
  }
  try {
    all.push_back(look_at_token(account, what));
  } catch (const Error& error) {
    all.push_back({Verdict::fail, what + "token", error.what(), {}});
  }
}

std::string json_of(const Findings& all) {
  JsonWriter json;
  json.array();
  for (const auto& finding : all) {
    json.object().key("verdict").value(word_of(finding.verdict)).key("what").value(finding.what);
    json.key("found").value(finding.found);
    json.key("advice").text_or_null(finding.advice).end();
  }
  return std::move(json.end()).take();
}

}  // namespace

Finding look_at_clock(std::optional<std::int64_t> server, std::int64_t here) {
  constexpr std::int64_t tolerated = 120;  // times of files, and of tokens
  if (!server) return {Verdict::ok, "clock", "the server does not tell its time", {}};
  const auto ahead = here - *server;
  if (ahead >= -tolerated && ahead <= tolerated)
    return {Verdict::ok, "clock", "as the server's", {}};
  return {Verdict::warn, "clock",
          "this machine's is " + std::to_string(ahead < 0 ? -ahead : ahead) + " s " +
              (ahead < 0 ? "behind" : "ahead of") + " the server's",
          "set it by NTP: timedatectl set-ntp true; conflicts are told apart by times"};
}

Finding look_at_version(const std::string& version) {
  constexpr int oldest = 7;  // that has all that is asked of it
  int major = 0;
  std::from_chars(version.data(), version.data() + version.size(), major);
  if (version.empty())
    return {Verdict::warn, "server version", "not told", "is it a Seafile server?"};
  if (major < oldest)
    return {Verdict::warn, "server version", version,
            "older than nacre is made for; ask for an update of the server"};
  return {Verdict::ok, "server version", version, {}};
}

Finding look_at_space(const std::string& what, std::uint64_t available, std::uint64_t capacity) {
  constexpr std::uint64_t least = std::uint64_t{256} << 20U;
  constexpr std::uint64_t cached_above = 20;  // of the disk, one part: else nothing is cached
  const auto found = size_text(available) + " free";
  if (available < least)
    return {Verdict::fail, what, found, "make room: what is written cannot be kept otherwise"};
  if (available < capacity / cached_above)
    return {Verdict::warn, what, found + ", less than 5 %: nothing more is cached", "make room"};
  return {Verdict::ok, what, found, {}};
}

Exit doctor(const DoctorOptions& options, const Io& io) {
  const auto checked =
      options.account.empty() ? accounts() : std::vector{choose_account(options.account)};
  std::optional<ShowWhile> looking;
  looking.emplace(io.err, LongWork{.what = "doctor"});
  Findings all = {look_at_device(), look_at_helper(), look_at_allow_other(), look_at_keyring()};
  look_at_folders(all);
  for (const auto& mountpoint : mounts_of_nacre()) all.push_back(look_at_mount(mountpoint));
  for (const auto& account : checked) look_at_account(account, all);
  looking.reset();
  if (options.json) {
    io.out << json_of(all) << '\n';
  } else {
    for (const auto& [verdict, what, found, advice] : all)
      io.out << (verdict == Verdict::ok     ? "ok    "
                 : verdict == Verdict::warn ? "warn  "
                                            : "fail  ")
             << what << ": " << found << (advice.empty() ? "" : "; " + advice) << '\n';
  }
  const bool failed = std::ranges::any_of(
      all, [](const Finding& finding) { return finding.verdict == Verdict::fail; });
  return failed ? Exit::failed : Exit::ok;
}

}  // namespace nacre
