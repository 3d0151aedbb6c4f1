// SPDX-License-Identifier: Apache-2.0
//
// The adapter through the kernel: a child process serves a filesystem in memory,
// this one uses it.
#define CATCH_CONFIG_RUNNER
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "fs/fuse_session.hpp"
#include "memory_filesystem.hpp"

namespace {

namespace files = std::filesystem;
using namespace std::chrono_literals;

// What the child does, and how it ends: 0, or 1 and a message.
[[noreturn]] void serve(const files::path& mountpoint, int ready) {
  int rc = 0;
  try {
    nacre::test::MemoryFilesystem fs;
    nacre::FuseSession session(fs, {.mountpoint = mountpoint,
                                    .source = "memory, of this test",
                                    .read_only = false,
                                    .fuse_options = {},
                                    .ready = [ready] { (void)!write(ready, "r", 1); }});
    fs.start(session.kernel());
    session.serve();
  } catch (const nacre::Error& e) {
    (void)!write(ready, e.what(), std::string_view(e.what()).size());
    rc = 1;
  }
  _exit(rc);
}

template <class Condition>
bool soon(Condition condition) {
  for (const auto end = std::chrono::steady_clock::now() + 10s;
       std::chrono::steady_clock::now() < end; std::this_thread::sleep_for(10ms))
    if (condition()) return true;
  return condition();
}

struct Served {
  explicit Served(const files::path& at) : where(at) {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    child = fork();
    REQUIRE(child >= 0);
    if (child == 0) serve(where, ends[1]);
    close(ends[1]);
    pollfd ready = {ends[0], POLLIN, 0};
    REQUIRE(poll(&ready, 1, 10'000) == 1);
    char text[512] = {};
    said.assign(text, static_cast<std::size_t>(std::max<ssize_t>(0, read(ends[0], text, 512))));
    close(ends[0]);
  }
  ~Served() {
    if (child > 0 && !ended()) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    if (said == "r") (void)!std::system(("fusermount3 -uzq " + where.string()).c_str());
  }
  bool ended() {
    if (child > 0 && waitpid(child, &status, WNOHANG) == child) child = 0;
    return child == 0;
  }
  files::path where;
  pid_t child = 0;
  int status = -1;
  std::string said;
};

struct Folder {
  Folder() {
    char name[] = "/tmp/nacre-adapter-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path = name;
    files::create_directory(path / "m");
  }
  ~Folder() {
    std::error_code code;
    files::remove(path / "m", code);
    files::remove_all(path, code);
  }
  files::path path;
};

struct Mounted {
  Folder folder;
  files::path m = folder.path / "m";
  Served served{m};
  Mounted() { REQUIRE(served.said == "r"); }

  std::string attribute(const char* name, const files::path& of) const {
    char value[64] = {};
    const auto size = getxattr(of.c_str(), name, value, sizeof value);
    return size < 0 ? std::string("errno ") + std::to_string(errno)
                    : std::string(value, static_cast<std::size_t>(size));
  }
};

std::string text_of(const files::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const files::path& path, std::string_view text) {
  std::ofstream out(path);
  out << text;
  REQUIRE(out.flush());
}

std::set<std::string> names_in(const files::path& path) {
  std::set<std::string> names;
  for (const auto& entry : files::directory_iterator(path)) names.insert(entry.path().filename());
  return names;
}

}  // namespace

TEST_CASE_METHOD(Mounted, "what is written is read, renamed, truncated and removed", "[adapter]") {
  put(m / "a", "hello");
  CHECK(text_of(m / "a") == "hello");
  files::create_directory(m / "d");
  files::rename(m / "a", m / "d/b");
  files::resize_file(m / "d/b", 2);
  CHECK(text_of(m / "d/b") == "he");
  CHECK(rmdir((m / "d").c_str()) == -1);
  CHECK(errno == ENOTEMPTY);
  CHECK(renameat2(AT_FDCWD, (m / "d").c_str(), AT_FDCWD, (m / "d").c_str(), RENAME_NOREPLACE) ==
        -1);
  CHECK(errno == EEXIST);
  put(m / "c", "other");
  REQUIRE(renameat2(AT_FDCWD, (m / "c").c_str(), AT_FDCWD, (m / "d/b").c_str(), RENAME_EXCHANGE) ==
          0);
  CHECK(text_of(m / "c") == "he");
  files::remove(m / "d/b");
  files::remove(m / "d");
  CHECK(names_in(m) == std::set<std::string>{"c"});
}

TEST_CASE_METHOD(Mounted, "a megabyte goes through in both directions", "[adapter]") {
  std::string text(5'000'000, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 / 3);
  put(m / "big", text);
  CHECK(text_of(m / "big") == text);
  const int fd = open((m / "big").c_str(), O_RDONLY | O_DIRECT);
  std::string direct(1U << 20U, '\0');
  CHECK(pread(fd, direct.data(), direct.size(), 4096) == 1 << 20);
  CHECK(direct == text.substr(4096, direct.size()));
  close(fd);
}

TEST_CASE_METHOD(Mounted, "ten thousand entries are listed once each, also after rewinding",
                 "[adapter]") {
  std::set<std::string> expected;
  for (int i = 0; i < 10'000; ++i) {
    expected.insert("entry-" + std::to_string(i));
    put(m / ("entry-" + std::to_string(i)), "");
  }
  CHECK(names_in(m) == expected);
  DIR* directory = opendir(m.c_str());
  while (readdir(directory) != nullptr) continue;
  put(m / "later", "");
  rewinddir(directory);
  bool seen = false;
  std::set<std::string> names;
  while (const auto* entry = readdir(directory)) {
    CHECK(names.insert(entry->d_name).second);
    seen |= std::string_view(entry->d_name) == "later";
  }
  closedir(directory);
  CHECK(seen);
  CHECK(names.size() == 10'003);  // with . and ..
}

TEST_CASE_METHOD(Mounted, "what a library cannot hold is refused with an errno that tools know",
                 "[adapter]") {
  put(m / "a", "a");
  CHECK(symlink("a", (m / "s").c_str()) == -1);
  CHECK(errno == EPERM);
  CHECK(link((m / "a").c_str(), (m / "l").c_str()) == -1);
  CHECK(errno == EPERM);
  CHECK(mkfifo((m / "f").c_str(), 0600) == -1);
  CHECK(errno == EPERM);
  CHECK(mknod((m / "r").c_str(), S_IFREG | 0600, 0) == 0);
  CHECK(setxattr((m / "a").c_str(), "user.x", "1", 1, 0) == -1);
  CHECK(errno == EOPNOTSUPP);
  CHECK(attribute("user.other", m) == "errno " + std::to_string(ENODATA));
  CHECK(attribute("system.posix_acl_access", m) == "errno " + std::to_string(EOPNOTSUPP));
  CHECK(attribute("security.selinux", m) == "errno " + std::to_string(EOPNOTSUPP));
  CHECK(files::exists(m / std::string(255, 'n')) == false);
  CHECK(open((m / std::string(256, 'n')).c_str(), O_CREAT | O_WRONLY, 0600) == -1);
  CHECK(errno == ENAMETOOLONG);
}

TEST_CASE_METHOD(Mounted, "holes, ranges, preallocation, locks and times", "[adapter]") {
  put(m / "a", "0123456789");
  const int fd = open((m / "a").c_str(), O_RDWR),
            to = open((m / "b").c_str(), O_CREAT | O_RDWR, 0600);
  CHECK(lseek(fd, 3, SEEK_DATA) == 3);
  CHECK(lseek(fd, 3, SEEK_HOLE) == 10);
  off_t from_offset = 2, to_offset = 0;
  CHECK(copy_file_range(fd, &from_offset, to, &to_offset, 5, 0) == 5);
  CHECK(text_of(m / "b") == "23456");
  CHECK(fallocate(to, 0, 0, 100) == 0);
  CHECK(files::file_size(m / "b") == 100);
  CHECK(fallocate(to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1) == -1);
  CHECK(errno == EOPNOTSUPP);
  CHECK(flock(fd, LOCK_EX) == 0);
  const int again = open((m / "a").c_str(), O_RDWR);
  CHECK(flock(again, LOCK_EX | LOCK_NB) == -1);
  const timespec times[2] = {{0, UTIME_NOW}, {1'600'000'000, 5}};
  CHECK(futimens(fd, times) == 0);
  struct stat st = {};
  fstat(fd, &st);
  CHECK(st.st_mtim.tv_sec == 1'600'000'000);
  CHECK(st.st_mtim.tv_nsec == 0);
  CHECK(fsync(fd) == 0);
  for (const int open_one : {fd, to, again}) close(open_one);
  struct statvfs room = {};
  REQUIRE(statvfs(m.c_str(), &room) == 0);
  CHECK(room.f_blocks == 1000);
}

TEST_CASE_METHOD(Mounted, "an unreachable server is ETIMEDOUT, not ENOENT", "[adapter]") {
  put(m / "broken", "x");
  const int fd = open((m / "broken").c_str(), O_RDONLY | O_DIRECT);
  char byte = 0;
  CHECK(read(fd, &byte, 1) == -1);
  CHECK(errno == ETIMEDOUT);
  close(fd);
}

TEST_CASE_METHOD(Mounted, "two hundred slow reads do not delay what memory answers", "[adapter]") {
  std::vector<std::thread> readers;
  std::atomic<int> done = 0;
  for (int i = 0; i < 200; ++i) put(m / ("slow" + std::to_string(i)), "patience");
  for (int i = 0; i < 200; ++i)
    readers.emplace_back([&, i] {
      const int fd = open((m / ("slow" + std::to_string(i))).c_str(), O_RDONLY | O_DIRECT);
      char text[8] = {};
      if (read(fd, text, 8) == 8 && std::string_view(text, 8) == "patience") ++done;
      close(fd);
    });
  std::this_thread::sleep_for(300ms);
  const auto begin = std::chrono::steady_clock::now();
  put(m / "quick", "quick");
  CHECK(text_of(m / "quick") == "quick");
  CHECK(names_in(m).size() == 201);
  CHECK(std::chrono::steady_clock::now() - begin < 1s);
  CHECK(done == 0);
  put(m / "go", "");
  for (auto& reader : readers) reader.join();
  CHECK(done == 200);
}

TEST_CASE_METHOD(Mounted, "a signal ends a wait at once, and nothing leaks", "[adapter]") {
  put(m / "slow", "x");
  const std::string name = GENERATE("hidden", "slow");
  const pid_t child = fork();
  if (child == 0) {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    sigaction(SIGUSR1, &action, nullptr);
    struct stat st = {};
    if (name == "hidden") _exit(stat((m / "hidden").c_str(), &st) == -1 ? errno : 0);
    const int fd = open((m / name).c_str(), O_RDONLY | O_DIRECT);
    char byte = 0;
    _exit(read(fd, &byte, 1) == -1 ? errno : 0);
  }
  std::this_thread::sleep_for(300ms);
  const auto begin = std::chrono::steady_clock::now();
  kill(child, SIGUSR1);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(std::chrono::steady_clock::now() - begin < 1s);
  CHECK(WEXITSTATUS(status) == EINTR);
  put(m / "go", "");
  CHECK(soon([&] { return attribute("user.nacre.handles", m) == "0"; }));
}

TEST_CASE_METHOD(Mounted, "the kernel gives back every lookup that it was told of", "[adapter]") {
  for (int i = 0; i < 300; ++i) put(m / ("f" + std::to_string(i)), "x");
  for (const auto& entry : files::directory_iterator(m)) (void)entry.file_size();
  for (int i = 0; i < 300; ++i) files::remove(m / ("f" + std::to_string(i)));
  CHECK(soon([&] { return attribute("user.nacre.nodes", m) == "0"; }));
  CHECK(attribute("user.nacre.handles", m) == "0");
}

TEST_CASE_METHOD(Mounted, "who wants names makes no nodes, who asks for files gets all at once",
                 "[adapter]") {
  const auto stocked = m / "stocked";
  files::create_directory(stocked);
  CHECK(names_in(stocked).size() == 20);
  CHECK(attribute("user.nacre.nodes", m) == "1");  // the directory
  CHECK(files::file_size(stocked / "f7") == 0);
  CHECK(attribute("user.nacre.nodes", m) == "2");
  CHECK(names_in(stocked).size() == 20);
  CHECK(attribute("user.nacre.nodes", m) == "21");
}

TEST_CASE_METHOD(Mounted, "pages that changed elsewhere are read anew", "[adapter]") {
  put(m / "a", "old");
  CHECK(text_of(m / "a") == "old");
  const int fd = open((m / "a").c_str(), O_RDONLY);
  const auto* seen = static_cast<char*>(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0));
  REQUIRE(seen[0] == 'o');
  CHECK(attribute("user.nacre.poke", m / "a") == "poked");
  CHECK(soon([&] { return text_of(m / "a") == "!!!"; }));
  CHECK(*const_cast<const volatile char*>(seen) == '!');
  close(fd);
}

TEST_CASE_METHOD(Mounted, "a mount ends cleanly by signal, by umount, and while in use",
                 "[adapter]") {
  const int how = GENERATE(0, 1, 2);
  const int busy = how == 2 ? open(m.c_str(), O_RDONLY | O_DIRECTORY) : -1;
  if (how == 1)
    REQUIRE(std::system(("fusermount3 -u " + m.string()).c_str()) == 0);
  else
    kill(served.child, SIGTERM);
  CHECK(soon([&] { return served.ended(); }));
  CHECK(served.status == 0);
  CHECK(soon([&] { return names_in(m).empty(); }));
  if (busy >= 0) close(busy);
}

TEST_CASE_METHOD(Mounted, "a second mount on the same place is refused, with what to do",
                 "[adapter]") {
  Served second(m);
  CHECK_THAT(second.said, Catch::Contains("already a mount"));
  CHECK(soon([&] { return second.ended(); }));
  second.said.clear();
  put(m / "a", "still served");
  CHECK(text_of(m / "a") == "still served");
}

TEST_CASE_METHOD(Mounted, "what a killed daemon left is cleared away by the next mount",
                 "[adapter]") {
  kill(served.child, SIGKILL);
  CHECK(soon([&] { return served.ended(); }));
  struct stat st = {};
  CHECK(soon([&] { return stat(m.c_str(), &st) == -1 && errno == ENOTCONN; }));
  Served next(m);
  CHECK(next.said == "r");
  put(m / "a", "again");
  CHECK(text_of(m / "a") == "again");
}

TEST_CASE("a mountpoint that cannot be one is named, with the reason", "[adapter]") {
  const Folder folder;
  put(folder.path / "file", "");
  files::create_directory(folder.path / "full");
  put(folder.path / "full/a", "");
  const auto [name, why] = GENERATE(table<std::string, std::string>(
      {{"none", "does not exist"}, {"file", "not a directory"}, {"full", "not empty"}}));
  Served served(folder.path / name);
  CHECK_THAT(served.said, Catch::Contains(why) && Catch::Contains(name));
  CHECK(soon([&] { return served.ended(); }));
}

int main(int argc, char* argv[]) {
  if (access("/dev/fuse", R_OK | W_OK) != 0) {
    std::puts("skipped: no /dev/fuse");
    return 77;
  }
  return Catch::Session().run(argc, argv);
}
