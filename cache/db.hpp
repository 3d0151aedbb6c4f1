// SPDX-License-Identifier: Apache-2.0
//
// LMDB with C++ lifetimes.  db.cpp is the only file that includes <lmdb.h>.
//
// One writer at a time, readers never wait.  A transaction stays on the thread
// that began it.  Open a Db after the last fork(), never before.
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/bytes.hpp"

struct MDB_env;
struct MDB_txn;

namespace nacre {

enum class Table : unsigned {};  // made by Db::table()

// The store as it was at one moment.  Views from get() live as long as it does.
class ReadTxn {
 public:
  [[nodiscard]] std::optional<ByteView> get(Table table, ByteView key) const;

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
  bool erase(Table table, ByteView key);  // was it there?
  void commit() &&;

 private:
  friend class Db;
  explicit WriteTxn(MDB_env* env);
};

class Db {
 public:
  Db(const std::filesystem::path& dir, std::size_t map_size);

  Table table(const char* name);  // opens it, or creates it
  [[nodiscard]] ReadTxn read() const;
  [[nodiscard]] WriteTxn write();

 private:
  struct Close {
    void operator()(MDB_env* env) const noexcept;
  };
  std::unique_ptr<MDB_env, Close> env_;
};

}  // namespace nacre
