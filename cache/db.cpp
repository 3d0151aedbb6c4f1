// SPDX-License-Identifier: Apache-2.0
#include "cache/db.hpp"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string>
#include <system_error>

#include "base/error.hpp"
#include "base/log.hpp"

namespace nacre {
namespace {

constexpr unsigned max_tables = 8;
constexpr unsigned max_readers = 256;
// Each place that is looked at may bring the 64 KiB around it.
constexpr std::uint64_t looks_between = 256;                        // asking what that has become
constexpr std::uint64_t most_looked_at = std::uint64_t{48} << 20U;  // bytes, of all files

void check(int rc, const char* doing) {
  if (rc == MDB_SUCCESS) return;
  const bool full = rc == MDB_MAP_FULL || rc == ENOSPC || rc == EDQUOT;
  const bool damaged = rc == MDB_CORRUPTED || rc == MDB_INVALID || rc == MDB_PAGE_NOTFOUND ||
                       rc == MDB_VERSION_MISMATCH || rc == MDB_PANIC;
  throw Error(full      ? Errc::full
              : damaged ? Errc::corrupt
                        : Errc::internal,
              std::string("database: ") + doing + ": " + mdb_strerror(rc));
}

// LMDB takes its inputs through non-const pointers, and does not write to them.
MDB_val val(ByteView bytes) { return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())}; }

ByteView view(const MDB_val& v) { return {static_cast<const std::uint8_t*>(v.mv_data), v.mv_size}; }

MDB_dbi handle(Table table) { return static_cast<MDB_dbi>(table); }

}  // namespace

ReadTxn::ReadTxn(MDB_env* env, unsigned flags) {
  MDB_txn* txn = nullptr;
  check(mdb_txn_begin(env, nullptr, flags, &txn), "begin");
  txn_.reset(txn);
}

std::optional<ByteView> ReadTxn::get(Table table, ByteView key) const {
  auto k = val(key);
  MDB_val v;
  const int rc = mdb_get(txn_.get(), handle(table), &k, &v);
  if (rc == MDB_NOTFOUND) return std::nullopt;
  check(rc, "get");
  return view(v);
}

namespace {

using Cursor = std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)>;

Cursor open_cursor(MDB_txn* txn, Table table) {
  MDB_cursor* opened = nullptr;
  check(mdb_cursor_open(txn, handle(table), &opened), "scan");
  return {opened, mdb_cursor_close};
}

}  // namespace

void ReadTxn::scan(Table table, ByteView from, const Visitor& visit) const {
  const auto cursor = open_cursor(txn_.get(), table);
  auto k = val(from);
  MDB_val v;
  int rc = mdb_cursor_get(cursor.get(), &k, &v, from.empty() ? MDB_FIRST : MDB_SET_RANGE);
  while (rc == MDB_SUCCESS && visit(view(k), view(v)))
    rc = mdb_cursor_get(cursor.get(), &k, &v, MDB_NEXT);
  if (rc != MDB_NOTFOUND) check(rc, "scan");
}

void ReadTxn::scan_last(Table table, const std::function<void(ByteView, ByteView)>& visit) const {
  const auto cursor = open_cursor(txn_.get(), table);
  MDB_val k, v;
  const int rc = mdb_cursor_get(cursor.get(), &k, &v, MDB_LAST);
  if (rc == MDB_NOTFOUND) return;
  check(rc, "scan");
  visit(view(k), view(v));
}

void ReadTxn::Abort::operator()(MDB_txn* txn) const noexcept { mdb_txn_abort(txn); }

WriteTxn::WriteTxn(MDB_env* env) : ReadTxn(env, 0) {}

void WriteTxn::put(Table table, ByteView key, ByteView value) {
  auto k = val(key), v = val(value);
  check(mdb_put(txn_.get(), handle(table), &k, &v, 0), "put");
}

MutableByteView WriteTxn::reserve(Table table, ByteView key, std::size_t size) {
  auto k = val(key);
  MDB_val v = {size, nullptr};
  check(mdb_put(txn_.get(), handle(table), &k, &v, MDB_RESERVE), "put");
  return {static_cast<std::uint8_t*>(v.mv_data), size};
}

bool WriteTxn::erase(Table table, ByteView key) {
  auto k = val(key);
  const int rc = mdb_del(txn_.get(), handle(table), &k, nullptr);
  if (rc == MDB_NOTFOUND) return false;
  check(rc, "erase");
  return true;
}

void WriteTxn::commit() && {
  check(mdb_txn_commit(txn_.release()), "commit");  // frees, even when it fails
}

namespace {

int file_of(MDB_env* env) {
  int fd = -1;
  check(mdb_env_get_fd(env, &fd), "file");
  return fd;
}

// Where the file is mapped, which LMDB does not tell; or null.
const std::uint8_t* map_of(MDB_env* env, std::size_t map_size) {
  struct stat file = {};
  if (::fstat(file_of(env), &file) != 0) return nullptr;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0, end = 0, offset = 0, inode = 0;
    const int fields =
        std::sscanf(line.c_str(), "%lx-%lx %*4s %lx %*x:%*x %lu", &begin, &end, &offset, &inode);
    if (fields == 4 && inode == file.st_ino && offset == 0 && end - begin == map_size)
      return reinterpret_cast<const std::uint8_t*>(begin);
  }
  return nullptr;
}

// Pages of files that count as memory of this process, in bytes; 0: not known.
std::uint64_t resident_of_files() noexcept {
  const int statm = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (statm < 0) return 0;
  std::array<char, 128> text = {};
  const auto got = ::read(statm, text.data(), text.size() - 1);
  ::close(statm);
  unsigned long pages = 0;
  if (got <= 0 || std::sscanf(text.data(), "%*u %*u %lu", &pages) != 1) return 0;
  return std::uint64_t{pages} * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

Db::Db(const std::filesystem::path& dir, std::size_t map_size) {
  std::filesystem::create_directories(dir);
  std::filesystem::permissions(dir, std::filesystem::perms::owner_all);
  MDB_env* env = nullptr;
  check(mdb_env_create(&env), "create");
  env_.reset(env);
  check(mdb_env_set_mapsize(env, map_size), "map size");
  check(mdb_env_set_maxdbs(env, max_tables), "tables");
  check(mdb_env_set_maxreaders(env, max_readers), "readers");
  check(mdb_env_open(env, dir.c_str(), MDB_NOTLS | MDB_NOSYNC, 0600), "open");
  MDB_envinfo info;
  check(mdb_env_info(env, &info), "info");
  map_size_ = info.me_mapsize;
  map_ = map_of(env, map_size_);
  scattered_ = Fd(::open((dir / "data.mdb").c_str(), O_RDONLY | O_CLOEXEC));
  if (scattered_.get() >= 0) ::posix_fadvise(scattered_.get(), 0, 0, POSIX_FADV_RANDOM);
}

Table Db::table(const char* name) {
  auto txn = write();
  MDB_dbi dbi = 0;
  check(mdb_dbi_open(txn.txn_.get(), name, MDB_CREATE, &dbi), name);
  std::move(txn).commit();
  return Table{dbi};
}

ReadTxn Db::read() const { return {env_.get(), MDB_RDONLY}; }
WriteTxn Db::write() { return WriteTxn(env_.get()); }
void Db::sync() { check(mdb_env_sync(env_.get(), 1), "sync"); }

void Db::copy(ByteView value, MutableByteView out, Next next) const {
  if (map_ == nullptr) {
    std::ranges::copy(value.first(out.size()), out.begin());
    return;
  }
  const int file =
      next == Next::elsewhere && scattered_.get() >= 0 ? scattered_.get() : file_of(env_.get());
  auto at = static_cast<off_t>(value.data() - map_);
  while (!out.empty()) {
    const auto got = ::pread(file, out.data(), out.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw Error(Errc::corrupt, "database: a value cannot be read");
    at += got;
    out = out.subspan(static_cast<std::size_t>(got));
  }
  looked_at(1);
}

void Db::looked_at(std::uint64_t places) const noexcept {
  if (map_ == nullptr || looks_->fetch_add(places) + places < looks_between) return;
  *looks_ = 0;
  if (resident_of_files() < most_looked_at) return;
  ::madvise(const_cast<std::uint8_t*>(map_), map_size_, MADV_DONTNEED);
}

std::uint64_t Db::file_size() const {
  MDB_envinfo info;
  MDB_stat stat;
  check(mdb_env_info(env_.get(), &info), "info");
  check(mdb_env_stat(env_.get(), &stat), "stat");
  return (std::uint64_t{info.me_last_pgno} + 1) * stat.ms_psize;
}

std::uint64_t Db::bytes_of(Table table) const {
  const auto txn = read();
  MDB_stat stat;
  check(mdb_stat(txn.txn_.get(), handle(table), &stat), "stat");
  return (std::uint64_t{stat.ms_branch_pages} + stat.ms_leaf_pages + stat.ms_overflow_pages) *
         stat.ms_psize;
}

Bytes Db::head_pages() const {
  MDB_stat stat;
  check(mdb_env_stat(env_.get(), &stat), "stat");
  Bytes pages(std::size_t{2} * stat.ms_psize);
  if (::pread(file_of(env_.get()), pages.data(), pages.size(), 0) !=
      static_cast<ssize_t>(pages.size()))
    throw Error(Errc::corrupt, "database: its first pages cannot be read");
  return pages;
}

void Db::sync_data() const {
  if (::fdatasync(file_of(env_.get())) != 0) check(errno, "sync");
}

void Db::Close::operator()(MDB_env* env) const noexcept { mdb_env_close(env); }

Db open_disposable(const std::filesystem::path& dir, std::size_t map_size) {
  // The file never shrinks, and in one that is past its limit not even erasing is possible.
  std::error_code absent;
  const auto size = std::filesystem::file_size(dir / "data.mdb", absent);
  if (!absent && size > map_size) {
    log::info(dir.string() + ": larger than its limit is now, begun anew; it costs time, no data");
  } else {
    try {
      Db db(dir, map_size);
      // Pages past the file's end would kill the process that looks at them.
      if (std::filesystem::file_size(dir / "data.mdb") >= db.file_size()) return db;
    } catch (const Error& error) {
      if (error.code() != Errc::corrupt) throw;
    }
    log::warning(dir.string() + ": damaged, begun anew; it costs time, no data");
  }
  std::filesystem::remove_all(dir);
  return Db(dir, map_size);
}

}  // namespace nacre
