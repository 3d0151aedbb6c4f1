// SPDX-License-Identifier: Apache-2.0
//
// LMDB with C++ lifetimes.  db.cpp is the only file that includes <lmdb.h>.
//
// One writer at a time, readers never wait.  A transaction stays on the thread
// that began it.  Open a Db after the last fork(), never before.  Throws
// Error{full} when the map or the disk is, Error{corrupt} for a damaged file.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "base/bytes.hpp"
#include "base/fd.hpp"

struct MDB_env;
struct MDB_txn;

namespace nacre {

enum class Table : unsigned {};  // made by Db::table()

// The store as it was at one moment.  Views from get() live as long as it does.
class ReadTxn {
 public:
  [[nodiscard]] std::optional<ByteView> get(Table table, ByteView key) const;

  // Visits keys from `from` on, in order, until `visit` says false.
  using Visitor = std::function<bool(ByteView key, ByteView value)>;
  void scan(Table table, ByteView from, const Visitor& visit) const;
  // Visits the last key, if there is one.
  void scan_last(Table table, const std::function<void(ByteView key, ByteView value)>& visit) const;

 private:
  friend class Db;
  friend class WriteTxn;
  ReadTxn(MDB_env* env, unsigned flags);

  struct Abort {
    void operator()(MDB_txn* txn) const noexcept;
  };
  std::unique_ptr<MDB_txn, Abort> txn_;
};

// A change, all or nothing: forgotten unless committed.
class WriteTxn : public ReadTxn {
 public:
  void put(Table table, ByteView key, ByteView value);
  // Room for a value, to be filled before the next call.
  MutableByteView reserve(Table table, ByteView key, std::size_t size);
  bool erase(Table table, ByteView key);  // was it there?
  void commit() &&;

 private:
  friend class Db;
  explicit WriteTxn(MDB_env* env);
};

class Db {
 public:
  // `map_size`: the most that the file can grow to, in bytes.  Commits survive
  // the process, and the machine only after sync().
  Db(const std::filesystem::path& dir, std::size_t map_size);

  Table table(const char* name);  // opens it, or creates it
  [[nodiscard]] ReadTxn read() const;
  [[nodiscard]] WriteTxn write();
  void sync();

  // Copies a value that a living ReadTxn of this gave, by way of the file: a large one costs no
  // page faults so.  The system reads ahead of it, or nothing but it.
  enum class Next { follows, elsewhere };
  void copy(ByteView value, MutableByteView out, Next next) const;

  // So many values were put, found or erased.  Pages of the file that were looked at for that count
  // as memory of this process until they are let go of, which is done when that has become too
  // much; they stay in the system's cache.
  void looked_at(std::uint64_t places) const noexcept;

  [[nodiscard]] std::uint64_t file_size() const;            // of a whole file, in bytes
  [[nodiscard]] std::uint64_t bytes_of(Table table) const;  // in pages that hold something

  // The file's first two pages, which name its newest commit.  With no commit meanwhile and a
  // ReadTxn of that commit held, so that no page of it is used again, they are all that it takes
  // to put the file back to it.
  [[nodiscard]] Bytes head_pages() const;
  void sync_data() const;  // the file to the disk, whatever else is committed meanwhile

 private:
  struct Close {
    void operator()(MDB_env* env) const noexcept;
  };
  std::unique_ptr<MDB_env, Close> env_;
  const std::uint8_t* map_ = nullptr;  // of the whole file; null: not known
  std::size_t map_size_ = 0;
  Fd scattered_;  // the same file, which the system does not read ahead; may be none
  std::unique_ptr<std::atomic<std::uint64_t>> looks_ =  // since that was last asked
      std::make_unique<std::atomic<std::uint64_t>>(0);
};

// For environments that may be lost: opens `dir`, anew where it is damaged or
// has grown past `map_size` under a larger limit.
Db open_disposable(const std::filesystem::path& dir, std::size_t map_size);

}  // namespace nacre
