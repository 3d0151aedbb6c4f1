// SPDX-License-Identifier: Apache-2.0
//
// A real server's storage folder: {commits,fs,blocks}/<library>/<2 hex>/<38 hex>.
// Written crash-safe (temporary file, then rename).  The heads, which a real server keeps in
// a database, are kept in heads/<library> where this program owns the folder;
// without that file a library's head is the tip of its commits: the one that no
// other names as parent, the newest by ctime if there are several.
//
// Any thread may call any member, and several processes may use one folder: heads move under a
// lock on the folder.  Objects are on the disk, for good, before a head that needs them moves.
// Throws Error{not_found, corrupt, full, read_only}.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "base/guarded.hpp"
#include "base/ids.hpp"
#include "remote/objects.hpp"

namespace nacre {

class ObjectStore {
 public:
  enum class Access { read_only, read_write };
  explicit ObjectStore(std::filesystem::path root, Access access);

  [[nodiscard]] std::vector<LibraryId> libraries() const;
  // Makes the folders; the library is there once it has a head.  Throws Error{exists}.
  void create(const LibraryId& library);
  void remove(const LibraryId& library);

  [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }
  [[nodiscard]] Access access() const noexcept { return access_; }

  [[nodiscard]] ObjectId head(const LibraryId& library) const;
  // Moves the head from `expected` to `next`; false if it was elsewhere by then.
  // The empty id as `expected` means: there is no head yet.
  bool move_head(const LibraryId& library, const ObjectId& expected, const ObjectId& next);

  [[nodiscard]] Commit commit(const LibraryId& library, const ObjectId& id) const;
  [[nodiscard]] bool has_commit(const LibraryId& library, const ObjectId& id) const;
  void put_commit(const Commit& commit);  // an existing id is left as it is

  // fs objects as stored: the zlib stream; object() inflates and checks the id.
  [[nodiscard]] Bytes stored_object(const LibraryId& library, const ObjectId& id) const;
  [[nodiscard]] Bytes object(const LibraryId& library, const ObjectId& id) const;
  [[nodiscard]] bool has_object(const LibraryId& library, const ObjectId& id) const;
  void put_object(const LibraryId& library, const ObjectId& id, ByteView json);

  [[nodiscard]] Bytes block(const LibraryId& library, const ObjectId& id) const;  // checked
  [[nodiscard]] std::uint64_t block_size(const LibraryId& library, const ObjectId& id) const;
  [[nodiscard]] bool has_block(const LibraryId& library, const ObjectId& id) const;
  void put_block(const LibraryId& library, const ObjectId& id, ByteView stored);
  [[nodiscard]] std::filesystem::path block_path(const LibraryId& library,
                                                 const ObjectId& id) const;

 private:
  [[nodiscard]] std::filesystem::path path(std::string_view kind, const LibraryId& library,
                                           const ObjectId& id) const;
  [[nodiscard]] std::filesystem::path head_path(const LibraryId& library) const;
  [[nodiscard]] std::optional<ObjectId> read_head(const LibraryId& library) const;
  [[nodiscard]] ObjectId tip(const LibraryId& library) const;
  void put(const std::filesystem::path& path, ByteView bytes) const;
  void check_writable() const;

  std::filesystem::path root_;
  Access access_;
  bool has_heads_;                                       // else the heads are the tips
  mutable Guarded<std::map<LibraryId, ObjectId>> tips_;  // a backup does not change
};

}  // namespace nacre
