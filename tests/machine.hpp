// SPDX-License-Identifier: Apache-2.0
//
// A library on a disk, and machines that have it mounted: whole filesystems,
// without the kernel between.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "crypto/random.hpp"
#include "fs/filesystem.hpp"
#include "fs/mount.hpp"
#include "remote/directory_remote.hpp"
#include "temp_dir.hpp"
#include "watched_remote.hpp"

namespace nacre::test {

class NoKernel final : public Kernel {
 public:
  void entry_changed(Ino, std::string_view) noexcept override {}
  void data_changed(Ino) noexcept override {}
};

struct Cloud {
  TempDir dir;
  LibraryId library = random_library_id();

  explicit Cloud(const char* password = nullptr) {
    NewLibrary made{library, "files", {}};
    if (password) made.encryption = make_library_key(library, 4, secret(password)).encryption;
    open_directory_remote(dir.path() / "storage")->create_library(made);
  }
  static Secret secret(const char* text) { return Secret::copy_of(as_bytes(text)); }
  [[nodiscard]] std::unique_ptr<Remote> remote() const {
    return open_directory_remote(dir.path() / "storage");
  }
  [[nodiscard]] ObjectId head() const { return remote()->head(library); }
};

class Machine {
 public:
  Machine(Cloud& cloud, const std::string& name, const char* password = nullptr,
          std::uint64_t write_buffer = std::uint64_t{64} << 20U,
          std::function<void(MountPlan&)> tune = {})
      : cloud_(cloud),
        name_(name),
        password_(password),
        buffer_(write_buffer),
        tune_(std::move(tune)) {
    mount();
  }
  ~Machine() {
    if (fs_) fs_->stop();
  }

  void mount() {
    const auto home = cloud_.dir.path() / name_;
    std::filesystem::create_directories(home / "cache");
    std::filesystem::create_directories(home / "state");
    MountPlan plan{.mountpoint = "/nowhere",
                   .source = "dir:test",
                   .cache_dir = home / "cache",
                   .state_dir = home / "state",
                   .device_key = SealKey(Cloud::secret("0123456789abcdef0123456789abcdef"))};
    plan.libraries = {cloud_.library.str()};
    if (password_) plan.passwords.push_back({cloud_.library.str(), Cloud::secret(password_)});
    plan.write_buffer = buffer_;
    plan.quiet_milliseconds = 3'600'000;  // nothing is sent but by sync()
    plan.poll_seconds = 3600;
    plan.cache_limit = std::uint64_t{256} << 20U;
    plan.client = random_id();
    if (tune_) tune_(plan);
    held_.clear();
    fs_ = make_filesystem(std::move(plan), std::make_unique<WatchedRemote>(cloud_.remote(), watch));
    fs_->start(kernel_);
  }
  // As kill -9 would: what is only in memory is gone.
  void crash() { fs_.reset(); }
  // As a kernel that needs memory: gives back all lookups.
  void forget() {
    for (const auto ino : std::exchange(held_, {})) fs_->forget(ino, 1);
  }

  void sync() {
    const auto reply = fs_->control({{"sync", "wait", "60"}, std::nullopt});
    INFO(reply.text);
    REQUIRE(reply.status == 0);
  }
  // Dies, and after its restart has what others sent, while its own changes are unsent.
  void restart() {
    crash();
    mount();
    const auto head = "\"" + cloud_.head().hex() + "\"";
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    fs_->list(root_ino);  // a library that nobody has looked at asks for no head
    while (fs_->control({{"status", "json"}, std::nullopt}).text.find(head) == std::string::npos) {
      REQUIRE(std::chrono::steady_clock::now() < end);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  Filesystem& fs() { return *fs_; }

  Ino walk(const std::string& path) {
    Ino ino = root_ino;
    for (std::size_t at = 0; at < path.size();) {
      const auto slash = std::min(path.find('/', at), path.size());
      ino = fs_->lookup(ino, path.substr(at, slash - at)).ino;
      held_.push_back(ino);
      at = slash + 1;
    }
    return ino;
  }
  static std::pair<std::string, std::string> split(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return {"", path};
    return {path.substr(0, slash), path.substr(slash + 1)};
  }
  bool exists(const std::string& path) {
    try {
      walk(path);
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  void write(const std::string& path, const std::string& text, mode_t mode = 0644) {
    const auto [folder, name] = split(path);
    const auto parent = walk(folder);
    Handle file;
    if (exists(path)) {
      file = fs_->open(walk(path), O_WRONLY | O_TRUNC).handle;
    } else {
      auto made = fs_->create(parent, name, mode, O_WRONLY);
      held_.push_back(made.attr.ino);
      file = std::move(made.handle);
    }
    fs_->write(file, 0, as_bytes(text));
    fs_->flush(file);
    fs_->release(file);
  }
  std::string read(const Opened& opened) {
    std::string text(static_cast<std::size_t>(opened.attr.st.st_size), '\0');
    const MutableByteView out(reinterpret_cast<std::uint8_t*>(text.data()), text.size());
    text.resize(fs_->read(opened.handle, 0, out));
    return text;
  }
  std::string read(const std::string& path) {
    const auto opened = fs_->open(walk(path), O_RDONLY);
    auto text = read(opened);
    fs_->release(opened.handle);
    return text;
  }
  void mkdir(const std::string& path) {
    const auto [folder, name] = split(path);
    held_.push_back(fs_->mkdir(walk(folder), name, 0755).ino);
  }
  void unlink(const std::string& path) {
    const auto [folder, name] = split(path);
    fs_->unlink(walk(folder), name);
  }
  void rmdir(const std::string& path) {
    const auto [folder, name] = split(path);
    fs_->rmdir(walk(folder), name);
  }
  void rename(const std::string& from, const std::string& to, unsigned flags = 0) {
    const auto [folder, name] = split(from);
    const auto [new_folder, new_name] = split(to);
    fs_->rename(walk(folder), name, walk(new_folder), new_name, flags);
  }
  void chmod(const std::string& path, mode_t mode) {
    SetAttr change;
    change.mode = mode;
    fs_->setattr(walk(path), change);
  }
  void touch(const std::string& path, std::int64_t mtime) {
    SetAttr change;
    change.mtime = mtime;
    fs_->setattr(walk(path), change);
  }
  struct stat stat(const std::string& path) {
    return fs_->getattr(walk(path)).st;
  }

  // The whole tree: path, and "/" or content.
  std::map<std::string, std::string> tree() {
    std::map<std::string, std::string> all;
    collect("", all);
    return all;
  }

  Watch watch;  // set its hook while nobody syncs

 private:
  void collect(const std::string& folder, std::map<std::string, std::string>& all) {
    const auto listing = fs_->list(walk(folder));
    for (const auto& entry : *listing) {
      const auto path = folder.empty() ? entry.name : folder + "/" + entry.name;
      if (S_ISDIR(entry.st.st_mode)) {
        all[path] = "/";
        collect(path, all);
      } else {
        all[path] = read(path);
      }
    }
  }

  Cloud& cloud_;
  std::string name_;
  const char* password_;
  std::uint64_t buffer_;
  std::function<void(MountPlan&)> tune_;
  NoKernel kernel_;
  std::vector<Ino> held_;  // lookups to give back
  std::unique_ptr<Filesystem> fs_;
};

using FileTree = std::map<std::string, std::string>;

constexpr std::string_view conflict_mark = "(SFConflict ";

inline std::size_t conflict_copies(const FileTree& tree) {
  return static_cast<std::size_t>(std::ranges::count_if(tree, [](const auto& entry) {
    return Machine::split(entry.first).second.find(conflict_mark) != std::string::npos;
  }));
}

}  // namespace nacre::test
