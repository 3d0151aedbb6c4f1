// SPDX-License-Identifier: Apache-2.0
//
// Two mounted trees on one library, without the kernel between: what one
// writes the other sees, and what both write both keep.
#include <fcntl.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <string>

#include "base/error.hpp"
#include "crypto/random.hpp"
#include "fs/filesystem.hpp"
#include "fs/mount.hpp"
#include "remote/directory_remote.hpp"
#include "temp_dir.hpp"

using namespace nacre;

namespace {

class NoKernel final : public Kernel {
 public:
  void entry_changed(Ino, std::string_view) noexcept override {}
  void data_changed(Ino) noexcept override {}
};

// A library on a disk, and what several machines do to it.
struct Cloud {
  test::TempDir dir;
  LibraryId library = random_library_id();

  explicit Cloud(const char* password = nullptr) {
    NewLibrary made{library, "files", {}};
    if (password) made.encryption = make_library_key(library, 4, secret(password)).encryption;
    open_directory_remote(dir.path() / "storage")->create_library(made);
  }
  static Secret secret(const char* text) { return Secret::copy_of(as_bytes(text)); }
};

class Machine {
 public:
  Machine(Cloud& cloud, const std::string& name, const char* password = nullptr,
          std::uint64_t write_buffer = std::uint64_t{64} << 20U)
      : cloud_(cloud), name_(name), password_(password), buffer_(write_buffer) {
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
    fs_ = make_filesystem(std::move(plan), open_directory_remote(cloud_.dir.path() / "storage"));
    fs_->start(kernel_);
  }
  // As kill -9 would: what is only in memory is gone.
  void crash() { fs_.reset(); }

  void sync() {
    const auto reply = fs_->control({{"sync", "wait", "60"}, std::nullopt});
    INFO(reply.text);
    REQUIRE(reply.status == 0);
  }

  Filesystem& fs() { return *fs_; }

  Ino walk(const std::string& path) {
    Ino ino = root_ino;
    for (std::size_t at = 0; at < path.size();) {
      const auto slash = std::min(path.find('/', at), path.size());
      ino = fs_->lookup(ino, path.substr(at, slash - at)).ino;
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
    if (exists(path))
      file = fs_->open(walk(path), O_WRONLY | O_TRUNC).handle;
    else
      file = fs_->create(parent, name, mode, O_WRONLY).handle;
    fs_->write(file, 0, as_bytes(text));
    fs_->flush(file);
    fs_->release(file);
  }
  std::string read(const std::string& path) {
    const auto opened = fs_->open(walk(path), O_RDONLY);
    std::string text(static_cast<std::size_t>(opened.attr.st.st_size), '\0');
    const MutableByteView out(reinterpret_cast<std::uint8_t*>(text.data()), text.size());
    text.resize(fs_->read(opened.handle, 0, out));
    fs_->release(opened.handle);
    return text;
  }
  void mkdir(const std::string& path) {
    const auto [folder, name] = split(path);
    fs_->mkdir(walk(folder), name, 0755);
  }
  void unlink(const std::string& path) {
    const auto [folder, name] = split(path);
    fs_->unlink(walk(folder), name);
  }
  void rmdir(const std::string& path) {
    const auto [folder, name] = split(path);
    fs_->rmdir(walk(folder), name);
  }
  void rename(const std::string& from, const std::string& to) {
    const auto [folder, name] = split(from);
    const auto [new_folder, new_name] = split(to);
    fs_->rename(walk(folder), name, walk(new_folder), new_name, 0);
  }

  // The whole tree: path, and "/" or content.
  std::map<std::string, std::string> tree() {
    std::map<std::string, std::string> all;
    collect("", all);
    return all;
  }

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
  NoKernel kernel_;
  std::unique_ptr<Filesystem> fs_;
};

using Tree = std::map<std::string, std::string>;

std::size_t conflict_copies(const Tree& tree) {
  return static_cast<std::size_t>(std::ranges::count_if(tree, [](const auto& entry) {
    return entry.first.find("(SFConflict ") != std::string::npos;
  }));
}

}  // namespace

TEST_CASE("what one machine writes, another reads", "[sync]") {
  const char* password = GENERATE(static_cast<const char*>(nullptr), "opensesame");
  Cloud cloud(password);
  Machine here(cloud, "here", password), there(cloud, "there", password);
  here.mkdir("docs");
  here.write("docs/letter.txt", "dear all");
  here.write("run.sh", "#!/bin/sh\n", 0755);
  here.write("empty", "");
  here.sync();
  there.sync();
  CHECK(there.tree() == Tree{{"docs", "/"},
                             {"docs/letter.txt", "dear all"},
                             {"empty", ""},
                             {"run.sh", "#!/bin/sh\n"}});
  CHECK((there.fs().getattr(there.walk("run.sh")).st.st_mode & 0111) == 0111);
  CHECK((there.fs().getattr(there.walk("empty")).st.st_mode & 0111) == 0);

  there.write("docs/letter.txt", "dear all, and you");
  there.sync();
  here.sync();
  CHECK(here.read("docs/letter.txt") == "dear all, and you");
}

TEST_CASE("what was closed survives a killed daemon, and is sent after it", "[sync]") {
  Cloud cloud;
  Machine here(cloud, "here"), there(cloud, "there");
  here.write("old", "published");
  here.sync();
  here.write("old", "changed");
  here.mkdir("folder");
  here.write("folder/new", std::string(300'000, 'n'));
  here.unlink("old");
  here.write("moved", "m");
  here.rename("moved", "folder/moved");
  const auto before = here.tree();
  here.crash();
  here.mount();
  CHECK(here.tree() == before);
  here.sync();
  there.sync();
  CHECK(there.tree() == before);
}

TEST_CASE("a small budget of memory for writing changes nothing but speed", "[sync]") {
  Cloud cloud("pass word");
  Machine here(cloud, "here", "pass word", 256U << 10U), there(cloud, "there", "pass word");
  std::string text(3'000'000, ' ');
  std::mt19937 random(1);
  std::ranges::generate(text, [&] { return static_cast<char>(random()); });
  here.write("big", text);
  CHECK(here.read("big") == text);
  const auto file = here.fs().open(here.walk("big"), O_RDWR).handle;
  for (int i = 0; i < 200; ++i) {
    const auto at = random() % 2'990'000;
    const std::string piece(random() % 9000, static_cast<char>(i));
    text.replace(at, piece.size(), piece);
    here.fs().write(file, at, as_bytes(piece));
  }
  here.fs().release(file);
  CHECK(here.read("big") == text);
  here.sync();
  CHECK(here.read("big") == text);
  there.sync();
  CHECK(there.read("big") == text);
}

TEST_CASE("a truncated file is zeros where it was cut and made longer again", "[sync]") {
  Cloud cloud;
  Machine here(cloud, "here");
  here.write("f", std::string(500'000, 'x'));
  if (GENERATE(false, true)) here.sync();
  SetAttr change;
  change.size = 200'001;
  here.fs().setattr(here.walk("f"), change);
  change.size = 400'000;
  here.fs().setattr(here.walk("f"), change);
  const auto expected = std::string(200'001, 'x') + std::string(199'999, '\0');
  CHECK(here.read("f") == expected);
  here.crash();
  here.mount();
  CHECK(here.read("f") == expected);
  here.sync();
  CHECK(here.read("f") == expected);
}

TEST_CASE("both sides of a conflict survive", "[sync]") {
  Cloud cloud;
  Machine here(cloud, "here"), there(cloud, "there");
  here.mkdir("d");
  here.write("d/f.txt", "base");
  here.write("g", "base");
  here.sync();
  there.sync();

  SECTION("both edited") {
    here.write("d/f.txt", "ours");
    there.write("d/f.txt", "theirs");
    there.sync();
    here.sync();
    there.sync();
    const auto tree = here.tree();
    CHECK(tree == there.tree());
    CHECK(tree.at("d/f.txt") == "theirs");
    CHECK(conflict_copies(tree) == 1);
    CHECK(std::ranges::any_of(tree, [](const auto& e) { return e.second == "ours"; }));
  }
  SECTION("both edited alike") {
    here.write("d/f.txt", "same!");
    there.write("d/f.txt", "same!");
    there.sync();
    here.sync();
    CHECK(here.tree() == Tree{{"d", "/"}, {"d/f.txt", "same!"}, {"g", "base"}});
    CHECK(here.tree() == there.tree());
  }
  SECTION("one edits what the other deletes") {
    here.write("g", "edited");
    there.unlink("g");
    there.unlink("d/f.txt");
    there.rmdir("d");
    there.sync();
    here.sync();
    there.sync();
    CHECK(here.tree() == Tree{{"g", "edited"}});
    CHECK(there.tree() == here.tree());
  }
  SECTION("one deletes what the other edits") {
    here.unlink("d/f.txt");
    here.rmdir("d");
    there.write("d/f.txt", "edited");
    there.write("d/more", "new");
    there.sync();
    here.sync();
    there.sync();
    CHECK(here.tree() == Tree{{"d", "/"}, {"d/f.txt", "edited"}, {"d/more", "new"}, {"g", "base"}});
    CHECK(there.tree() == here.tree());
  }
  SECTION("one renames a directory, the other adds to it") {
    here.rename("d", "renamed");
    there.write("d/new", "n");
    there.sync();
    here.sync();
    there.sync();
    const auto tree = here.tree();
    CHECK(tree == there.tree());
    CHECK(tree.at("renamed/f.txt") == "base");
    CHECK(tree.at("d/new") == "n");
  }
  SECTION("a file here, a directory there") {
    here.write("x", "file");
    there.mkdir("x");
    there.write("x/inside", "i");
    there.sync();
    here.sync();
    there.sync();
    const auto tree = here.tree();
    CHECK(tree == there.tree());
    CHECK(tree.at("x/inside") == "i");
    CHECK(std::ranges::any_of(tree, [](const auto& e) { return e.second == "file"; }));
  }
  SECTION("the same new directory on both") {
    here.mkdir("n");
    here.write("n/ours", "1");
    there.mkdir("n");
    there.write("n/theirs", "2");
    there.sync();
    here.sync();
    there.sync();
    CHECK(here.tree() == there.tree());
    CHECK(here.tree().at("n/ours") == "1");
    CHECK(here.tree().at("n/theirs") == "2");
    CHECK(conflict_copies(here.tree()) == 0);
  }
}

TEST_CASE("whatever two machines do at random, they end alike and nothing written is lost",
          "[sync]") {
  const auto seed = GENERATE(range(1U, 13U));
  CAPTURE(seed);
  Cloud cloud;
  Machine one(cloud, "one"), two(cloud, "two");
  std::mt19937 random(seed);
  int written = 0;
  const auto pick = [&](std::size_t n) { return random() % n; };
  // Contents that nobody here overwrote or deleted since: they must be somewhere in the end.
  std::set<std::string> alive;

  const auto act = [&](Machine& machine) {
    const auto tree = machine.tree();
    std::vector<std::string> files, folders = {""};
    for (const auto& [path, what] : tree) (what == "/" ? folders : files).push_back(path);
    const auto in = [&](const std::string& folder, const std::string& name) {
      return folder.empty() ? name : folder + "/" + name;
    };
    const std::string name(1, static_cast<char>('a' + pick(5)));
    const auto& folder = folders[pick(folders.size())];
    const auto target = in(folder, name);
    try {
      switch (pick(8)) {
        case 0:
        case 1:
        case 2: {
          const auto text = "text " + std::to_string(++written);
          if (tree.contains(target) && tree.at(target) == "/") return;
          if (tree.contains(target)) alive.erase(tree.at(target));
          machine.write(target, text);
          alive.insert(text);
          return;
        }
        case 3: machine.mkdir(target); return;
        case 4:
          if (files.empty()) return;
          {
            const auto& victim = files[pick(files.size())];
            alive.erase(tree.at(victim));
            machine.unlink(victim);
          }
          return;
        case 5:
          if (folders.size() > 1) machine.rmdir(folders[1 + pick(folders.size() - 1)]);
          return;
        default: {
          if (tree.empty()) return;
          auto from = tree.begin();
          std::advance(from, static_cast<std::ptrdiff_t>(pick(tree.size())));
          if (tree.contains(target) && tree.at(target) != "/" && from->first != target &&
              from->second != "/") {
            machine.rename(from->first, target);
            alive.erase(tree.at(target));
            return;
          }
          machine.rename(from->first, target);
          return;
        }
      }
    } catch (const Error& error) {
      // Not empty, into itself, taken: as any filesystem says.
      const auto code = error.code();
      REQUIRE((code == Errc::exists || code == Errc::not_empty || code == Errc::invalid ||
               code == Errc::is_directory || code == Errc::not_directory));
    }
  };

  for (int round = 0; round < 12; ++round) {
    const auto actions = 1 + pick(8);
    for (std::size_t i = 0; i < actions; ++i) act(pick(2) == 0 ? one : two);
    if (pick(3) == 0) one.sync();
    if (pick(3) == 0) two.sync();
    if (pick(6) == 0) {
      auto& victim = pick(2) == 0 ? one : two;
      victim.crash();
      victim.mount();
    }
  }
  one.sync();
  two.sync();
  one.sync();
  two.sync();
  const auto tree = one.tree();
  CHECK(tree == two.tree());
  std::set<std::string> contents;
  for (const auto& [path, text] : tree) contents.insert(text);
  for (const auto& text : alive) {
    CAPTURE(text);
    CHECK(contents.contains(text));
  }
}
