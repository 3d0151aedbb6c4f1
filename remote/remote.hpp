// SPDX-License-Identifier: Apache-2.0
//
// What a server offers: libraries, whose objects never change, named by their
// content, and one head each that moves.  Everything above speaks in these
// words; everything below speaks HTTP or files.
//
// Any thread may call any member at any time; calls block, for a bounded time.
// Every member may throw Error{unreachable, busy, denied, gone, not_found}.
// Nothing is handed out that does not match its id: such bytes are
// Error{corrupt}.  An object that could not be had is an error, never an empty one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "crypto/library_key.hpp"
#include "remote/objects.hpp"

namespace nacre {

// One line of the account's list of libraries.
struct LibraryInfo {
  LibraryId id;
  std::string name;
  std::string owner;
  bool encrypted = false;
  bool writable = true;
  std::uint64_t size = 0;  // bytes; 0 where unknown
  std::int64_t mtime = 0;  // seconds
  std::optional<ObjectId> head;
};

struct LibraryHead {
  LibraryId library;
  ObjectId head;
};

struct NewLibrary {
  LibraryId id;  // chosen by the client, as its magic depends on it
  std::string name;
  Encryption encryption;
};

// An fs object: its inflated JSON text, and the zlib stream that it came as, where it did.
struct FsObject {
  ObjectId id;
  Bytes json;
  Bytes packed = {};
};

struct Quota {
  std::uint64_t used = 0;
  std::optional<std::uint64_t> total;  // nullopt: no limit
};

class Remote {
 public:
  virtual ~Remote() = default;

  // Who we are there: modifier and creator_name of what we write.
  virtual std::string user() = 0;

  // Whether anything can be written at all (a backup opened as a folder cannot).
  virtual bool writable() const = 0;

  virtual std::vector<LibraryInfo> libraries() = 0;
  virtual LibraryInfo create_library(const NewLibrary& library) = 0;
  // Both for the owner only.
  virtual void rename_library(const LibraryId& library, const std::string& name) = 0;
  virtual void delete_library(const LibraryId& library) = 0;

  virtual ObjectId head(const LibraryId& library) = 0;
  // One request however many; libraries that the server does not name are left out.
  virtual std::vector<LibraryHead> heads(std::span<const LibraryId> libraries) = 0;

  virtual Commit commit(const LibraryId& library, const ObjectId& id) = 0;

  // All of `ids` (none of them the empty id), in any order, in as few requests
  // as it takes.  Throws if any is missing.
  virtual std::vector<FsObject> objects(const LibraryId& library,
                                        std::span<const ObjectId> ids) = 0;

  // The stored bytes of a block, checked against its id.
  virtual Bytes block(const LibraryId& library, const ObjectId& id) = 0;

  // The same; `arrives` is told what has come of it so far, not checked, and its size as the
  // server says (0: unknown), as often as something comes: by another thread, which it must not
  // keep waiting.  It throws nothing, and may hear nothing at all.
  using BlockArrives = std::function<void(ByteView so_far, std::uint64_t size)>;
  virtual Bytes arriving_block(const LibraryId& library, const ObjectId& id,
                               const BlockArrives& arrives) {
    (void)arrives;
    return block(library, id);
  }

  // The stored sizes of a file's blocks, in order, without fetching them.
  virtual std::vector<std::uint64_t> block_sizes(const LibraryId& library,
                                                 const ObjectId& file) = 0;

  // Which of `ids` the server lacks.
  virtual std::vector<ObjectId> missing_objects(const LibraryId& library,
                                                std::span<const ObjectId> ids) = 0;
  virtual std::vector<ObjectId> missing_blocks(const LibraryId& library,
                                               std::span<const ObjectId> ids) = 0;

  // Sending.  Order of an upload: check_upload, put_commit, put_objects,
  // missing_blocks + put_block, publish (seafile-in-short, section 5).
  // check_upload throws Error{read_only} or Error{quota}.
  virtual void check_upload(const LibraryId& library, std::int64_t added_bytes) = 0;
  virtual void put_commit(const Commit& commit) = 0;
  virtual void put_objects(const LibraryId& library, std::span<const FsObject> objects) = 0;
  virtual void put_block(const LibraryId& library, const ObjectId& id, ByteView stored) = 0;

  // Asks for `commit` (already put) as the head.  Returns the head as it is
  // then: the commit itself, or the server's merge of it with somebody else's change.
  virtual ObjectId publish(const LibraryId& library, const ObjectId& commit) = 0;

  virtual Quota quota() = 0;
};

}  // namespace nacre
