// SPDX-License-Identifier: Apache-2.0
#include "cache/db.hpp"

#include <lmdb.h>

#include <cerrno>
#include <string>

#include "base/error.hpp"

namespace nacre {
namespace {

constexpr unsigned max_tables = 8;

void check(int rc, const char* doing) {
  if (rc == MDB_SUCCESS) return;
  const auto code = rc == MDB_MAP_FULL || rc == ENOSPC         ? Errc::full
                    : rc == MDB_CORRUPTED || rc == MDB_INVALID ? Errc::corrupt
                                                               : Errc::internal;
  throw Error(code, std::string(doing) + ": " + mdb_strerror(rc));
}

// LMDB takes its inputs through non-const pointers, and does not write to them.
MDB_val val(ByteView bytes) { return {bytes.size(), const_cast<std::uint8_t*>(bytes.data())}; }

}  // namespace

ReadTxn::ReadTxn(MDB_env* env, unsigned flags) {
  MDB_txn* txn = nullptr;
  check(mdb_txn_begin(env, nullptr, flags, &txn), "begin");
  txn_.reset(txn);
}

std::optional<ByteView> ReadTxn::get(Table table, ByteView key) const {
  auto k = val(key);
  MDB_val v;
  const int rc = mdb_get(txn_.get(), static_cast<MDB_dbi>(table), &k, &v);
  if (rc == MDB_NOTFOUND) return std::nullopt;
  check(rc, "get");
  return ByteView(static_cast<const std::uint8_t*>(v.mv_data), v.mv_size);
}

void ReadTxn::Abort::operator()(MDB_txn* txn) const noexcept { mdb_txn_abort(txn); }

WriteTxn::WriteTxn(MDB_env* env) : ReadTxn(env, 0) {}

void WriteTxn::put(Table table, ByteView key, ByteView value) {
  auto k = val(key), v = val(value);
  check(mdb_put(txn_.get(), static_cast<MDB_dbi>(table), &k, &v, 0), "put");
}

bool WriteTxn::erase(Table table, ByteView key) {
  auto k = val(key);
  const int rc = mdb_del(txn_.get(), static_cast<MDB_dbi>(table), &k, nullptr);
  if (rc == MDB_NOTFOUND) return false;
  check(rc, "erase");
  return true;
}

void WriteTxn::commit() && {
  check(mdb_txn_commit(txn_.release()), "commit");  // frees, even when it fails
}

Db::Db(const std::filesystem::path& dir, std::size_t map_size) {
  MDB_env* env = nullptr;
  check(mdb_env_create(&env), "create");
  env_.reset(env);
  check(mdb_env_set_mapsize(env, map_size), "map size");
  check(mdb_env_set_maxdbs(env, max_tables), "tables");
  check(mdb_env_open(env, dir.c_str(), MDB_NOTLS, 0600), "open");
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
void Db::Close::operator()(MDB_env* env) const noexcept { mdb_env_close(env); }

}  // namespace nacre
