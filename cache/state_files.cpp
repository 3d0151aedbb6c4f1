// SPDX-License-Identifier: Apache-2.0
#include "cache/state_files.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/log.hpp"
#include "cache/db.hpp"
#include "crypto/hash.hpp"

namespace nacre {
namespace {

namespace files = std::filesystem;

// A slot of `synced`: SHA-1 of what follows (20), turn (8), length (4), pages.
constexpr std::size_t slot_room = std::size_t{192} << 10U;  // two pages of 64 KiB at most
constexpr std::size_t slot_header = 32;
constexpr std::size_t largest_pages = std::size_t{128} << 10U;

// A file of state that is mostly empty is written anew from this size on.
constexpr std::uint64_t worth_compacting = std::uint64_t{64} << 20U;

[[noreturn]] void fail(const files::path& path, int error) {
  const auto code = error == ENOSPC || error == EDQUOT  ? Errc::full
                    : error == EACCES || error == EPERM ? Errc::denied
                                                        : Errc::internal;
  throw Error(code, path.string() + ": " + std::strerror(error) + "; check the disk");
}

struct Slot {
  std::uint64_t turn = 0;
  Bytes pages;
};

std::optional<Slot> read_slot(int fd, unsigned which) {
  Bytes bytes(slot_header + largest_pages);
  const auto got = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(which * slot_room));
  if (got < static_cast<ssize_t>(slot_header)) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(got));
  Slot slot;
  std::uint32_t length = 0;
  std::memcpy(&slot.turn, bytes.data() + 20, sizeof slot.turn);
  std::memcpy(&length, bytes.data() + 28, sizeof length);
  if (length > bytes.size() - slot_header) return std::nullopt;
  const auto rest = ByteView(bytes).subspan(20, 12 + length);
  if (!std::ranges::equal(sha1(rest).bytes, ByteView(bytes).first(20))) return std::nullopt;
  slot.pages.assign(rest.begin() + 12, rest.end());
  return slot;
}

std::optional<Slot> newest_slot(int fd) {
  auto first = read_slot(fd, 0), second = read_slot(fd, 1);
  if (!first || (second && second->turn > first->turn)) return second;
  return first;
}

// Of this boot of the machine: another after each power cut.  A test names a file of its own.
std::string boot_now() {
  const char* named = std::getenv("NACRE_BOOT_ID");
  std::ifstream in(named != nullptr ? named : "/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(in, id);
  return id;
}

std::string text_of(const files::path& path) {
  std::ifstream in(path);
  std::string text;
  std::getline(in, text);
  return text;
}

void sync_folder(const files::path& folder) {
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) fail(folder, errno);
}

void write_boot(const files::path& env, const std::string& id) {
  const auto path = env / "boot", fresh = env / "boot.new";
  {
    const Fd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (fd.get() < 0) fail(fresh, errno);
    const auto line = id + "\n";
    if (::write(fd.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()) ||
        ::fsync(fd.get()) != 0)
      fail(fresh, errno);
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) fail(path, errno);
  sync_folder(env);
}

void put_back(const files::path& env) {
  const auto data = env / "data.mdb", synced = env / "synced";
  const Fd in(::open(synced.c_str(), O_RDONLY | O_CLOEXEC));
  const auto slot = in.get() < 0 ? std::nullopt : newest_slot(in.get());
  if (!slot) return;  // nothing was ever synced, or the environment came from elsewhere
  const Fd out(::open(data.c_str(), O_WRONLY | O_CLOEXEC));
  if (out.get() < 0) fail(data, errno);
  if (::pwrite(out.get(), slot->pages.data(), slot->pages.size(), 0) !=
          static_cast<ssize_t>(slot->pages.size()) ||
      ::fsync(out.get()) != 0)
    fail(data, errno);
  log::info(env.string() + ": as it was at its last sync, since the machine went down after that");
}

}  // namespace

void recover_after_power_cut(const files::path& env) {
  const auto now = boot_now();
  const auto then = text_of(env / "boot");
  if (now == then) return;
  files::create_directories(env);
  files::permissions(env, files::perms::owner_all);
  if (!then.empty() && files::exists(env / "data.mdb")) put_back(env);
  write_boot(env, now);
}

void compact_environment(const files::path& env, std::size_t map_size) {
  auto fresh = env;
  fresh += ".new";
  files::remove_all(fresh);  // of an earlier try that was cut short
  std::error_code absent;
  const auto size = files::file_size(env / "data.mdb", absent);
  if (absent || size < worth_compacting) return;
  {
    Db from(env, map_size);
    std::uint64_t used = 0;
    for (const char* name : {"about", "values"}) used += from.bytes_of(from.table(name));
    if (used > size / 2) return;
    Db to(fresh, map_size);
    for (const char* name : {"about", "values"}) {
      const auto source = from.table(name), target = to.table(name);
      const auto old = from.read();
      auto txn = to.write();
      old.scan(source, {}, [&](ByteView key, ByteView value) {
        txn.put(target, key, value);
        return true;
      });
      std::move(txn).commit();
    }
    to.sync();
    SyncedPages(fresh).write(to.head_pages());
  }
  write_boot(fresh, boot_now());
  if (::renameat2(AT_FDCWD, env.c_str(), AT_FDCWD, fresh.c_str(), RENAME_EXCHANGE) != 0)
    fail(env, errno);
  sync_folder(env.parent_path());
  files::remove_all(fresh);
}

SyncedPages::SyncedPages(const files::path& env) {
  const auto path = env / "synced";
  fd_ = Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd_.get() < 0) fail(path, errno);
  sync_folder(env);  // its name, and that of data.mdb
  if (const auto newest = newest_slot(fd_.get())) turn_ = newest->turn;
}

void SyncedPages::write(ByteView pages) {
  if (pages.size() > largest_pages)
    throw Error(Errc::unsupported, "state: this machine's memory pages are larger than 64 KiB");
  const auto turn = turn_ + 1;  // ours when it is whole: the other slot has the last good one
  Bytes slot(slot_header + pages.size());
  const auto length = static_cast<std::uint32_t>(pages.size());
  std::memcpy(slot.data() + 20, &turn, sizeof turn);
  std::memcpy(slot.data() + 28, &length, sizeof length);
  std::ranges::copy(pages, slot.begin() + slot_header);
  std::ranges::copy(sha1(ByteView(slot).subspan(20)).bytes, slot.begin());
  if (::pwrite(fd_.get(), slot.data(), slot.size(), static_cast<off_t>(turn % 2 * slot_room)) !=
          static_cast<ssize_t>(slot.size()) ||
      ::fdatasync(fd_.get()) != 0)
    fail("synced", errno);
  turn_ = turn;
}

}  // namespace nacre
