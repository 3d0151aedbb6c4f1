// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <ostream>
#include <sstream>

#include "base/error.hpp"
#include "cli/blocked_signals.hpp"
#include "cli/certificate.hpp"
#include "cli/commands.hpp"
#include "cli/folders.hpp"
#include "cli/program.hpp"
#include "crypto/random.hpp"
#include "fs/mountpoint.hpp"

namespace nacre {
namespace {

namespace stdfs = std::filesystem;
using Lines = std::vector<std::string>;

constexpr std::chrono::seconds patience{60};
constexpr std::string_view user = "mussel@example.com";
constexpr std::string_view secret_sentence = "The pearl is under the third stone.";

struct Sample {
  const char* path;
  std::string_view text;
};
constexpr std::array samples = {
    Sample{"Plain/Welcome.txt",
           "This library is not encrypted.\nWhoever runs the server can read it.\n"},
    Sample{"Plain/Recipes/Bread.txt", "500 g flour, 350 g water, 10 g salt, and a night.\n"},
    Sample{"Private/Diary.txt",
           "Dear diary,\nThe pearl is under the third stone.\nNobody but us two knows.\n"},
    Sample{"Private/Letters/To the bank.txt", "Please close my account.\n"},
};

// Ends the demo early, by the wish of whoever runs it.
struct Interrupted {};

// Ctrl-C and its like are kept waiting, and asked for between two steps.
class Signals {
 public:
  Signals() = default;
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals() {
    while (blocked_.within(0) != 0) continue;
  }
  void check() const {
    if (blocked_.within(0) != 0) throw Interrupted();
  }
  void wait() const { blocked_.wait(); }

 private:
  const BlockedSignals blocked_;
};

std::string read_file(const stdfs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw Error(Errc::internal, path.string() + ": cannot be read");
  return text.str();
}

void write_file(const stdfs::path& path, std::string_view text) {
  stdfs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw Error(Errc::internal, path.string() + ": cannot be written");
}

std::vector<stdfs::path> files_below(const stdfs::path& folder) {
  std::vector<stdfs::path> files;
  for (const auto& entry : stdfs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

// A folder, a server in it, an account there, and its mount; nothing is left in the end.
class World {
 public:
  explicit World(const Io& io) : io_(io) {
    std::error_code no_temporary;
    auto name = (stdfs::temp_directory_path(no_temporary) / "nacre-demo-XXXXXX").string();
    if (no_temporary || ::mkdtemp(name.data()) == nullptr)
      throw Error(Errc::invalid, "temporary folder: cannot be made; set TMPDIR to one of yours");
    root_ = stdfs::canonical(name);
    for (const char* kind : {"CONFIG", "STATE", "CACHE"})
      ::setenv(("XDG_" + std::string(kind) + "_HOME").c_str(), (root_ / "home" / kind).c_str(), 1);
    ::setenv("XDG_RUNTIME_DIR", (root_ / "run").c_str(), 1);
    ::setenv("DBUS_SESSION_BUS_ADDRESS", "disabled:", 1);  // nothing into anybody's keyring
    stdfs::create_directory(root_ / "run");
    stdfs::permissions(root_ / "run", stdfs::perms::owner_all);
    stdfs::create_directory(mountpoint());
    stdfs::create_directory(server_folder());
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() {
    try {
      if (mounted_type(mountpoint())) step({"umount", mountpoint()});
    } catch (const Error& e) {
      io_.err << "nacre: " << e.what() << '\n';
    }
    server_.reset();
    if (mounted_type(mountpoint())) {  // never delete through a mount
      io_.err << "nacre: demo: " << mountpoint().string()
              << " is still mounted; close what uses it, `nacre umount` it, and delete "
              << root_.string() << '\n';
      return;
    }
    std::error_code left;
    stdfs::remove_all(root_, left);
    if (left) io_.err << "nacre: demo: " << root_.string() << ": " << left.message() << '\n';
  }

  [[nodiscard]] stdfs::path mountpoint() const { return root_ / "mount"; }
  [[nodiscard]] stdfs::path server_folder() const { return root_ / "server"; }
  [[nodiscard]] const stdfs::path& root() const { return root_; }
  [[nodiscard]] const std::string& url() const { return url_; }

  // Runs `nacre ARGS...` and gives its output.  Throws Error where it failed; it has said why.
  std::string step(const Lines& args, const Secret* secret = nullptr) {
    Program program(args, secret);
    auto out = program.rest(patience);
    if (const int status = program.wait(); status != 0)
      throw Error(Errc::internal, "demo: `nacre " + args[0] + "` ended with exit status " +
                                      std::to_string(status) + "; its message is above");
    return out;
  }

  void start_server(const Secret& password) {
    const auto certificates = make_demo_certificates();
    write_file(root_ / "ca.pem", certificates.ca);
    write_file(root_ / "cert.pem", certificates.server);
    write_private_file(root_ / "key.pem", certificates.server_key.bytes());
    const auto fd = std::to_string(secret_fd);
    step({"serve", server_folder(), "--add-user", std::string(user), "--password-fd", fd},
         &password);
    server_ = std::make_unique<Program>(Lines{"serve", server_folder(), "--listen", "127.0.0.1:0",
                                              "--tls-cert", root_ / "cert.pem", "--tls-key",
                                              root_ / "key.pem"});
    const auto line = server_->next_line(patience);
    if (const auto at = line.find("https://"); at != std::string::npos)
      url_ = line.substr(at, line.find_first_of(" ;", at) - at);
    if (url_.empty()) throw Error(Errc::internal, "demo: the server did not start: " + line);
  }

  // The bytes of the largest block that the server keeps of a library.
  [[nodiscard]] std::string block_of(const std::string& library) const {
    std::string block;
    for (const auto& file : files_below(server_folder()))
      if (file.string().find("/blocks/" + library + "/") != std::string::npos)
        if (auto bytes = read_file(file); bytes.size() > block.size()) block = std::move(bytes);
    if (block.empty()) throw Error(Errc::internal, "demo: the server has no block of " + library);
    return block;
  }

  [[nodiscard]] bool server_knows(std::string_view text) const {
    return std::ranges::any_of(files_below(server_folder()), [&](const stdfs::path& file) {
      return read_file(file).find(text) != std::string::npos;
    });
  }

 private:
  const Io& io_;
  stdfs::path root_;
  std::string url_;
  std::unique_ptr<Program> server_;
};

std::string hex_line(std::string_view bytes) {
  std::string line;
  for (const char c : bytes) {
    std::array<char, 4> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x ", static_cast<unsigned char>(c));
    line += digits.data();
  }
  return line;
}

std::string shown(std::string_view bytes) {
  std::string line(bytes);
  for (auto& c : line)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '.';
  return line;
}

// Two columns: a text by its lines, and stored bytes as a hex dump.
void side_by_side(std::ostream& out, const std::string& text, const std::string& stored) {
  constexpr std::size_t width = 40, row = 8, rows = 5;
  std::istringstream lines(text);
  for (std::size_t i = 0; i < rows; ++i) {
    std::string left;
    std::getline(lines, left);
    left.resize(width, ' ');
    const auto part = std::string_view(stored).substr(std::min(i * row, stored.size()), row);
    auto hex = hex_line(part);
    hex.resize(row * 3 + 1, ' ');
    out << "  " << left << "| " << hex << shown(part) << '\n';
  }
}

void demand(bool fine, const std::string& what) {
  if (!fine) throw Error(Errc::internal, "demo: " + what + "; please report it");
}

void check_files(const stdfs::path& mountpoint) {
  for (const auto& sample : samples)
    demand(read_file(mountpoint / sample.path) == sample.text,
           std::string(sample.path) + " reads differently from what was written");
}

void mount_again(World& world, const Secret& library_password) {
  const auto fresh = [&](const char* name) { return (world.root() / "again" / name).string(); };
  world.step({"umount", world.mountpoint()});
  demand(stdfs::is_empty(world.mountpoint()), "the folder is not empty after umount");
  world.step(
      {"mount", "demo", world.mountpoint(), "--unlock", "Private", "--password-fd",
       std::to_string(secret_fd), "--cache-dir", fresh("cache"), "--state-dir", fresh("state")},
      &library_password);
  check_files(world.mountpoint());
}

void lock_and_look(World& world) {
  world.step({"lock", world.mountpoint(), "Private"});
  std::ifstream file(world.mountpoint() / "Private" / "Diary.txt");
  demand(!file.is_open(), "a locked library's file can still be opened");
}

void tell_what_to_try(const World& world, const Io& io) {
  const auto place = world.mountpoint().string();
  const auto nacre = stdfs::read_symlink("/proc/self/exe").string();
  io.out << "\nLook around, from another terminal:\n\n"
         << "  ls -lR " << place << "\n"
         << "  echo hello > " << place << "/Private/mine.txt\n"
         << "  ls -R " << world.server_folder().string() << "\n"
         << "\nnacre's own commands find this demo's folders with:\n\n"
         << "  export XDG_RUNTIME_DIR=" << (world.root() / "run").string() << "\n"
         << "  " << nacre << " status " << place << "\n"
         << "  " << nacre << " lock " << place << " Private\n\n"
         << "Ctrl-C ends the demo and removes all of it." << std::endl;
}

Secret line_of(std::string_view text) {
  return Secret::copy_of(as_bytes(std::string(text) + "\n"));
}

}  // namespace

Exit demo(const DemoOptions&, const Io& io) {
  const bool somebody_there = ::isatty(STDIN_FILENO) != 0;
  const Signals signals;
  const auto password = line_of(random_id().hex()), library_password = line_of(random_id().hex());
  try {
    World world(io);
    const auto fd = std::to_string(secret_fd);
    const auto say = [&](const std::string& text) {
      io.out << text << std::endl;
      signals.check();
    };
    world.start_server(password);
    say("A server runs at " + world.url() + ", with TLS and a CA made for this demo.");
    world.step({"login", world.url(), "--user", std::string(user), "--password-fd", fd, "--ca-file",
                world.root() / "ca.pem", "--account", "demo"},
               &password);
    const auto trimmed = [](const std::string& line) { return line.substr(0, line.find('\n')); };
    const auto plain = trimmed(world.step({"libraries", "create", "Plain"}));
    const auto secret = trimmed(world.step(
        {"libraries", "create", "Private", "--encrypted", "--password-fd", fd}, &library_password));
    say("Logged in, and created two libraries: Plain, and Private, which is encrypted.");
    world.step({"mount", "demo", world.mountpoint(), "--unlock", "Private", "--password-fd", fd},
               &library_password);
    say("Mounted at " + world.mountpoint().string() + ".");
    for (const auto& sample : samples) write_file(world.mountpoint() / sample.path, sample.text);
    world.step({"sync", world.mountpoint(), "--wait", "--timeout", "45"});
    check_files(world.mountpoint());
    say("Wrote " + std::to_string(samples.size()) +
        " files with normal file operations; the server has confirmed them.\n");

    constexpr auto head = "  What you see                            | What the server stores";
    io.out << head << " of Plain/Welcome.txt\n";
    side_by_side(io.out, read_file(world.mountpoint() / "Plain/Welcome.txt"),
                 world.block_of(plain));
    io.out << '\n' << head << " of Private/Diary.txt\n";
    side_by_side(io.out, read_file(world.mountpoint() / "Private/Diary.txt"),
                 world.block_of(secret));
    say("\nOf an encrypted library the server knows names, sizes, times and who wrote; not "
        "contents.");
    demand(world.server_knows("Whoever runs the server can read it."),
           "the plain file is not on the server");
    demand(!world.server_knows(secret_sentence), "a line of the diary is on the server, readable");

    if (somebody_there) {
      tell_what_to_try(world, io);
      signals.wait();
      io.out << "\nCleaning up." << std::endl;
    } else {
      mount_again(world, library_password);
      say("Mounted again with nothing kept on this machine: all files read the same.");
      lock_and_look(world);
      say("Locked Private: its files cannot be opened. The tour is complete.");
    }
  } catch (const Interrupted&) {
    io.out << "Interrupted; all of it is removed." << std::endl;
    return Exit::failed;
  }
  return Exit::ok;
}

}  // namespace nacre
