// SPDX-License-Identifier: Apache-2.0
//
// How unsent changes are spelled in the state environment (cache/FORMAT.md):
// little-endian numbers, strings with a 32-bit length.  Keys are a library's id,
// one letter, and big-endian numbers, so that a scan comes in order:
//
//   <library> 'b'                    the published commit that the changes build on
//   <library> 'e' <folder> <tag>     one changed name of a folder
//   <library> 'f' <node>             a file whose content changed
//   <library> 'x' <node> <index>     one extent of it
//   <library> 'i'                    the batch that is being published (fs/intent.hpp)
//   <library> 'p' <tag>              a pinned path, as it is (fs/pinner.hpp)
//
// Folders and files are numbered by node, 1 is the library's top.  Pure functions;
// decoders throw Error{corrupt}.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "remote/objects.hpp"

namespace nacre {

using NodeNumber = std::uint64_t;
inline constexpr NodeNumber top_number = 1;
inline constexpr std::uint32_t extent_size = 128U << 10U;  // bytes of a file that are kept as one

namespace record_key {
Bytes base(const LibraryId& library);
Bytes entries(const LibraryId& library);  // prefix of all
Bytes entry(const LibraryId& library, NodeNumber folder, const std::array<std::uint8_t, 16>& tag);
Bytes files(const LibraryId& library);  // prefix of all
Bytes file(const LibraryId& library, NodeNumber node);
Bytes extents(const LibraryId& library);                      // prefix of all
Bytes extents_of(const LibraryId& library, NodeNumber node);  // prefix of all of a file
Bytes intent(const LibraryId& library);
Bytes pins(const LibraryId& library);  // prefix of all
Bytes pin(const LibraryId& library, const std::array<std::uint8_t, 16>& tag);
Bytes extent(const LibraryId& library, NodeNumber node, std::uint64_t index);
NodeNumber number_in(ByteView key);    // of entry (the folder), file and extent keys
std::uint64_t index_in(ByteView key);  // of extent keys
}  // namespace record_key

struct EntryRecord {
  std::string name;
  bool removed = false;
  NodeNumber node = 0;           // 0 when removed
  std::uint64_t generation = 0;  // of the library, when it was changed
  Dirent dirent;                 // as the name stands here; id and size are what was published
};

struct FileRecord {
  ObjectId base;  // the published file under the changes
  std::uint64_t base_size = 0;
  std::uint64_t base_limit = 0;  // bytes of it that still show
  std::uint64_t size = 0;
  std::uint64_t version = 0;  // of the content; no two contents of a mount share one
  bool partial = false;       // some of what was written after `version` is here as well
};

// Begin and end in an extent; ascending, apart.
using ExtentRanges = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

// An extent's record as it is read.
struct ExtentView {
  ExtentRanges valid;
  ByteView data;  // of these, one after the other; in the record's bytes
};

Bytes encode_base(const Commit& commit);
Bytes encode(const EntryRecord& record);
Bytes encode(const FileRecord& record);
Bytes encode_extent(const ExtentRanges& valid, ByteView extent);  // of its bytes those
Commit decode_base(ByteView bytes);
EntryRecord decode_entry(ByteView bytes);
FileRecord decode_file(ByteView bytes);
ExtentView decode_extent(ByteView bytes);

}  // namespace nacre
