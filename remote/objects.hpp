// SPDX-License-Identifier: Apache-2.0
//
// Commits, directories and files: the objects of a Seafile library, to and from
// the bytes that a real server stores (seafile-protocol, sections 1.2 to 1.6).
// Pure functions.  read_*() throw Error{corrupt} naming the object and what is
// wrong with it (size, depth, names, order, twins); they take only what could be true.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "crypto/library_key.hpp"

namespace nacre {

// Modes that a library can hold.
inline constexpr std::uint32_t mode_file = 0100644;
inline constexpr std::uint32_t mode_executable = 0100755;
inline constexpr std::uint32_t mode_directory = 0040000;

inline constexpr std::size_t max_name = 255;  // bytes
inline constexpr std::size_t max_object = std::size_t{256}
                                          << 20U;  // inflated bytes of one fs object
inline constexpr std::size_t max_block = std::size_t{256} << 20U;   // stored bytes of one block
inline constexpr std::uint64_t max_file = std::uint64_t{1} << 53U;  // bytes

struct Dirent {
  std::string name;
  ObjectId id;
  std::uint32_t mode = mode_file;
  std::int64_t mtime = 0;  // seconds since the epoch
  std::uint64_t size = 0;  // plaintext bytes; files only
  std::string modifier;    // files only

  [[nodiscard]] bool is_directory() const noexcept { return (mode & 0170000U) == 0040000U; }
  [[nodiscard]] bool is_executable() const noexcept { return (mode & 0100U) != 0; }
  friend bool operator==(const Dirent&, const Dirent&) = default;
};

struct Directory {
  std::vector<Dirent> entries;  // sorted by name, descending, by bytes; names unique

  void sort();
  [[nodiscard]] const Dirent* find(std::string_view name) const noexcept;
};

struct File {
  std::uint64_t size = 0;  // plaintext bytes
  std::vector<ObjectId> blocks;
};

struct Commit {
  ObjectId id;
  ObjectId root;
  LibraryId library;
  std::optional<std::string> creator_name;  // the user
  ObjectId creator;                         // the client's id, or zeros
  std::string description;
  std::int64_t ctime = 0;
  std::optional<ObjectId> parent, second_parent;
  std::string library_name, library_description;
  std::string device_name, client_version;
  Encryption encryption;
  int version = 1;  // of the library
  bool no_local_history = true;
  bool new_merge = false, conflict = false, repaired = false;
};

// Why `name` cannot stand in a directory ("empty", "is '..'", "contains '/'", …), or nullptr.
const char* name_fault(std::string_view name) noexcept;

// `json` is the inflated text; `id` only names the object in errors (whoever
// fetched it has compared the hash).
Directory read_directory(const ObjectId& id, ByteView json);
File read_file(const ObjectId& id, ByteView json);
Commit read_commit(const ObjectId& id, ByteView json);

// Canonical bytes: sha1(write_*()) is the object's id.  Never call them for an
// empty directory or file: those have the empty id and no bytes.
Bytes write_directory(const Directory& directory);
Bytes write_file(const File& file);
Bytes write_commit(const Commit& commit);

// The id by the rule of Seafile's C code, from root, creator, creator_name, description and ctime.
ObjectId commit_id(const Commit& commit);

// A commit on top of `head` with everything copied that must be carried over
// (name, description, encryption, version); its id is set last by commit_id().
Commit next_commit(const Commit& head, const ObjectId& root, std::string creator_name,
                   const ObjectId& client, std::string description, std::int64_t ctime);

// zlib streams, as fs objects are stored and sent.  inflate() throws
// Error{corrupt} past `limit` bytes or for anything but one whole stream.
Bytes deflate(ByteView bytes);
Bytes inflate(ByteView bytes, std::size_t limit = max_object);

}  // namespace nacre
